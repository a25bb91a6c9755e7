"""Labels in the formats of tools for annotation: COCO, Label Studio, supervision, GeoJSON.

Each class of an image becomes one mask, and in GeoJSON each connected region one polygon. Masks are
run-length encoded, without loss, in two ways that have only the name in common:

- COCO: the lengths of runs of 0 and 1 down the columns, from the fourth on as differences to the one before
  the last, in digits of base 32; `rleToString` of
  https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c
- Label Studio's brush: each pixel as four bytes, RGBA, of 0 or 255, along the rows, packed in bits;
  https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.areas import areas_of
from fcn_edge_runtime.imaging.outlines import outlines
from fcn_edge_runtime.model.card import Card, ClassInfo

__all__ = ["brush_rle", "coco_annotations", "coco_rle", "detections", "geojson", "label_studio_task"]

_BRUSH_SIZES = (3, 4, 8, 16)  # bits that the length of a run may take
_LONGEST_BRUSH = 1 << 16
_CHANNELS = 4
_FROM, _TO = "tag", "image"  # names of Label Studio's template for segmentation with a brush


def coco_annotations(
    labels: np.ndarray, card: Card, name: str, confidence: np.ndarray | None = None
) -> dict[str, Any]:
    """A COCO data set of one image: an annotation for each class that is there, with its mask.

    Args:
        labels: (H, W).
        card: the model's card; categories have its ids, which begin with 0.
        name: the file name of the image.
        confidence: (H, W); each annotation then has the mean over its mask as its score.
    """
    height, width = labels.shape
    annotations = []
    for number, (entry, mask) in enumerate(_masks(labels, card), 1):
        annotation = {
            "id": number,
            "image_id": 1,
            "category_id": entry.id,
            "segmentation": coco_rle(mask),
            "area": int(mask.sum()),
            "bbox": _box(mask),
            "iscrowd": 0,
        }
        annotations.append({**annotation, **_score(mask, confidence)})
    return {
        "images": [{"id": 1, "file_name": name, "height": height, "width": width}],
        "categories": [{"id": c.id, "name": c.name, "color": list(c.color)} for c in card.classes],
        "annotations": annotations,
    }


def label_studio_task(
    labels: np.ndarray, card: Card, path: str, version: str, confidence: np.ndarray | None = None
) -> dict[str, Any]:
    """A task of Label Studio with a prediction: one brush mask for each class that is there.

    Args:
        labels: (H, W).
        card: the model's card.
        path: of the image, below the folder that Label Studio serves, its
            LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT.
        version: of the model, which Label Studio shows.
        confidence: (H, W); each mask then has its mean as its score, and the prediction that of the image.
    """
    height, width = labels.shape
    results = [
        {
            "id": f"class-{entry.id}",
            "type": "brushlabels",
            "from_name": _FROM,
            "to_name": _TO,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {"format": "rle", "rle": brush_rle(mask), "brushlabels": [entry.name]},
            **_score(mask, confidence),
        }
        for entry, mask in _masks(labels, card)
    ]
    whole = _score(np.ones(labels.shape, bool), confidence)
    prediction = {"model_version": version, **whole, "result": results}
    return {"data": {_TO: f"/data/local-files/?d={quote(os.fsencode(path))}"}, "predictions": [prediction]}


def detections(labels: np.ndarray, card: Card, confidence: np.ndarray | None = None) -> dict[str, Any]:
    """The arguments of `supervision.Detections`: one mask for each class that is there.

    Args:
        labels: (H, W).
        card: the model's card.
        confidence: (H, W); each mask then has its mean.
    """
    found = list(_masks(labels, card))
    masks = np.array([mask for _, mask in found]).reshape(-1, *labels.shape)
    boxes = [(x, y, x + w - 1, y + h - 1) for x, y, w, h in (_box(mask) for mask in masks)]
    scores = None if confidence is None else np.array([confidence[mask].mean() for mask in masks], np.float32)
    return {
        "xyxy": np.array(boxes, np.float32).reshape(-1, 4),
        "mask": masks,
        "confidence": scores,
        "class_id": np.array([entry.id for entry, _ in found], int),
        "data": {"class_name": np.array([entry.name for entry, _ in found], str)},
    }


def geojson(labels: np.ndarray, card: Card, confidence: np.ndarray | None = None) -> dict[str, Any]:
    """A GeoJSON collection of polygons in pixel coordinates: one for each connected region of a class.

    The pixel of column x and row y is the square from (x, y) to (x + 1, y + 1); y points down. Corners of
    polygons are corners of pixels, so that painting them gives the labels again, without loss. Pixels are
    connected by their sides; unlabeled ones are in no polygon. GeoJSON has no way to
    say that coordinates are pixels: readers for maps take them for degrees.

    Args:
        labels: (H, W).
        card: the model's card.
        confidence: (H, W); each polygon then has the mean over its pixels as its score.

    Raises:
        InputError: rasterio is not installed.
    """
    features = require("rasterio.features", "writing polygons", InputError)
    found = [
        (card.classes[outline.label], {"type": "Polygon", "coordinates": list(map(_closed, outline.rings))})
        for outline in outlines([labels], card.unlabeled)
    ]
    shapes = [(polygon, number) for number, (_, polygon) in enumerate(found, 1)]
    at = features.rasterize(shapes, labels.shape, dtype=np.int32) if shapes else np.zeros(labels.shape, int)
    pixels = np.bincount(at.ravel(), minlength=len(found) + 1)[1:]
    scores: list[dict[str, float]] = [{} for _ in found]
    if confidence is not None:
        sums = np.bincount(at.ravel(), confidence.ravel(), len(found) + 1)[1:]
        scores = [{"score": round(score, 6)} for score in (sums / pixels).tolist()]
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"class_id": entry.id, "class": entry.name, "area": area, **score},
                "geometry": polygon,
            }
            for (entry, polygon), area, score in zip(found, pixels.tolist(), scores, strict=True)
        ],
    }


def coco_rle(mask: np.ndarray) -> dict[str, Any]:
    """A mask (H, W) bool in COCO's compressed encoding."""
    counts = _runs(mask.ravel(order="F"))
    digits = bytearray()
    for i, count in enumerate(counts):
        left = count - (counts[i - 2] if i > 2 else 0)
        while True:
            digit = left & 0x1F
            left >>= 5
            more = left != (-1 if digit & 0x10 else 0)
            digits.append(48 + (digit | 0x20 if more else digit))
            if not more:
                break
    return {"size": list(mask.shape), "counts": digits.decode("ascii")}


def brush_rle(mask: np.ndarray) -> list[int]:
    """A mask (H, W) bool in Label Studio's brush encoding: bytes, 0 to 255."""
    bits = [f"{_CHANNELS * mask.size:032b}", "00111", *(f"{size - 1:04b}" for size in _BRUSH_SIZES)]
    for i, count in enumerate(_runs(mask.ravel())):
        value = "11111111" if i % 2 else "00000000"
        left = _CHANNELS * count
        while left:
            length = min(left, _LONGEST_BRUSH)
            left -= length
            choice = next(i for i, size in enumerate(_BRUSH_SIZES) if length <= 1 << size)
            bits.append(f"1{choice:02b}{length - 1:0{_BRUSH_SIZES[choice]}b}{value}")
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def _closed(ring: np.ndarray) -> list[list[int]]:
    """A ring that ends where it begins."""
    corners: list[list[int]] = ring.tolist()
    return [*corners, corners[0]]


def _runs(values: np.ndarray) -> list[int]:
    """The lengths of alternating runs of False and True; the first may be 0."""
    edges = np.flatnonzero(values[1:] != values[:-1]) + 1
    lengths: list[int] = np.diff(edges, prepend=0, append=len(values)).tolist()
    return [0, *lengths] if values[0] else lengths


def _masks(labels: np.ndarray, card: Card) -> list[tuple[ClassInfo, np.ndarray]]:
    """The classes that are there, with their masks (H, W) bool; unlabeled pixels have none."""
    there = {area.id for area in areas_of(labels, card) if area.pixels}
    return [(entry, labels == entry.id) for entry in card.classes if entry.id in there]


def _box(mask: np.ndarray) -> list[int]:
    """x, y, width and height."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return [x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1]


def _score(mask: np.ndarray, confidence: np.ndarray | None) -> dict[str, float]:
    return {} if confidence is None else {"score": round(float(confidence[mask].mean()), 6)}
