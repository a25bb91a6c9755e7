"""Masks for annotation tools, read back: without loss, by the tools' own code where it is installed."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from fcn_edge_runtime.imaging.annotations import (
    brush_rle,
    coco_annotations,
    coco_rle,
    detections,
    geojson,
    label_studio_task,
)
from fcn_edge_runtime.model.card import ClassInfo
from fcn_edge_runtime.segmentation import Segmentation

CARD = SimpleNamespace(
    classes=tuple(ClassInfo(i, f"class {i}", (i, 2 * i, 3 * i)) for i in range(5)), unlabeled=255
)


def some_masks():
    rng = np.random.default_rng(4)
    yield np.zeros((1, 1), bool)
    yield np.ones((1, 1), bool)
    yield np.zeros((7, 5), bool)
    yield np.ones((300, 400), bool)  # longer than one run of the brush
    yield rng.random((33, 47)) < 0.5
    yield rng.random((120, 90)) < 0.02
    stripes = np.zeros((64, 64), bool)
    stripes[::3] = True
    yield stripes


MASKS = pytest.mark.parametrize(
    "mask", list(some_masks()), ids=lambda mask: f"{mask.shape} {mask.mean():.2f}"
)


def from_coco(rle):
    """By the description of the format."""
    counts, number, shift, digits = [], 0, 0, rle["counts"].encode()
    for digit in digits:
        value = digit - 48
        number |= (value & 0x1F) << shift
        shift += 5
        if value & 0x20:
            continue
        if value & 0x10:
            number -= 1 << shift
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number = shift = 0
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return values.reshape(rle["size"], order="F")


def from_brush(rle, shape):
    """By the description of rle-pack."""
    bits, at = "".join(f"{byte:08b}" for byte in rle), 0

    def read(size):
        nonlocal at
        at += size
        return int(bits[at - size : at], 2)

    count, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    out = []
    while len(out) < count:
        repeated, length = read(1), read(sizes[read(2)]) + 1
        out += [read(word)] * length if repeated else [read(word) for _ in range(length)]
    return np.array(out, np.uint8).reshape(*shape, 4)


def labels():
    rng = np.random.default_rng(5)
    found = np.kron(rng.integers(0, 4, (6, 8)), np.ones((9, 7), int)).astype(np.uint8)
    found[:3] = 255
    return found


@MASKS
def test_a_mask_survives_coco(mask):
    rle = coco_rle(mask)
    np.testing.assert_array_equal(from_coco(rle), mask)


@MASKS
def test_a_mask_is_what_coco_makes_of_it(mask):
    own = pytest.importorskip("pycocotools.mask")
    rle = coco_rle(mask)
    np.testing.assert_array_equal(own.decode(rle), mask)
    assert own.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode() == rle["counts"]


@MASKS
def test_a_mask_survives_label_studio(mask):
    rle = brush_rle(mask)
    assert all(0 <= byte <= 255 for byte in rle)
    expected = np.repeat(mask[..., None] * np.uint8(255), 4, axis=-1)
    np.testing.assert_array_equal(from_brush(rle, mask.shape), expected)


@MASKS
def test_label_studio_reads_a_mask(mask):
    own = pytest.importorskip("label_studio_sdk.converter.brush")
    rle, expected = brush_rle(mask), np.repeat(mask[..., None] * np.uint8(255), 4, axis=-1)
    np.testing.assert_array_equal(own.decode_rle(rle).reshape(*mask.shape, 4), expected)


def test_labels_survive_a_coco_data_set():
    expected, found = labels(), np.full(labels().shape, 255)
    data = json.loads(json.dumps(coco_annotations(expected, CARD, "a.png")))
    for entry in data["annotations"]:
        mask = from_coco(entry["segmentation"])
        found[mask] = entry["category_id"]
        x, y, width, height = entry["bbox"]
        assert entry["area"] == mask[y : y + height, x : x + width].sum() == mask.sum()
    np.testing.assert_array_equal(found, expected)


def test_coco_reads_a_data_set(tmp_path):
    own = pytest.importorskip("pycocotools.coco")
    expected = labels()
    (tmp_path / "coco.json").write_text(json.dumps(coco_annotations(expected, CARD, "a.png")))
    coco = own.COCO(str(tmp_path / "coco.json"))
    for entry in coco.loadAnns(coco.getAnnIds()):
        np.testing.assert_array_equal(coco.annToMask(entry), expected == entry["category_id"])


def test_labels_survive_a_task_of_label_studio():
    expected, found = labels(), np.full(labels().shape, 255)
    names = [entry.name for entry in CARD.classes]
    task = json.loads(json.dumps(label_studio_task(expected, CARD, "photos/a b.png", "net 1")))
    assert task["data"] == {"image": "/data/local-files/?d=photos/a%20b.png"}
    [prediction] = task["predictions"]
    assert prediction["model_version"] == "net 1"
    for result in prediction["result"]:
        assert (result["original_width"], result["original_height"]) == expected.shape[::-1]
        mask = from_brush(result["value"]["rle"], expected.shape)[..., 3] == 255
        found[mask] = names.index(result["value"]["brushlabels"][0])
    np.testing.assert_array_equal(found, expected)


def test_a_score_is_the_mean_confidence_of_a_mask():
    found = labels()
    confidence = (found / 255).astype(np.float32)
    for entry in coco_annotations(found, CARD, "a.png", confidence)["annotations"]:
        assert entry["score"] == pytest.approx(entry["category_id"] / 255, abs=1e-5)
    assert "score" not in coco_annotations(found, CARD, "a.png")["annotations"][0]


def test_detections_have_one_mask_for_each_class():
    found = detections(labels(), CARD)
    assert found["class_id"].tolist() == [0, 1, 2, 3]
    assert found["data"]["class_name"].tolist() == [f"class {i}" for i in range(4)]
    for mask, number, box in zip(found["mask"], found["class_id"], found["xyxy"], strict=True):
        np.testing.assert_array_equal(mask, labels() == number)
        rows, columns = np.nonzero(mask)
        assert box.tolist() == [columns.min(), rows.min(), columns.max(), rows.max()]


def test_an_image_without_a_class_has_no_masks():
    empty = np.full((4, 5), 255, np.uint8)
    assert coco_annotations(empty, CARD, "a.png")["annotations"] == []
    assert detections(empty, CARD)["mask"].shape == (0, 4, 5)


def test_supervision_takes_a_result():
    supervision = pytest.importorskip("supervision")
    result = Segmentation(labels(), CARD, "CPUExecutionProvider", 1.0)
    found = result.to_supervision()
    assert isinstance(found, supervision.Detections)
    assert found["class_name"].tolist() == [f"class {i}" for i in range(4)]
    np.testing.assert_array_equal(found.area, [(labels() == i).sum() for i in range(4)])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_polygons_painted_again_give_the_labels(dtype):
    features = pytest.importorskip("rasterio.features")
    rng = np.random.default_rng(6)
    speckled = np.where(rng.random((40, 50)) < 0.4, rng.integers(0, 5, (40, 50)), 1)
    for expected in (labels(), speckled, np.full((3, 4), 255), np.zeros((1, 1), int)):
        given = expected.astype(dtype)
        found = json.loads(json.dumps(geojson(given, CARD)))["features"]
        shapes = [(f["geometry"], f["properties"]["class_id"]) for f in found]
        painted = np.full(given.shape, 255, dtype)
        if shapes:
            features.rasterize(shapes, out=painted)
        np.testing.assert_array_equal(painted, given)
        assert sum(f["properties"]["area"] for f in found) == (given != 255).sum()


def test_polygons_are_simple_closed_and_named():
    shapely = pytest.importorskip("shapely")
    found = geojson(labels(), CARD)["features"]
    for feature in found:
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.is_valid
        assert shape.area == feature["properties"]["area"]
        assert all(ring[0] == ring[-1] for ring in feature["geometry"]["coordinates"])
        assert feature["properties"]["class"] == f"class {feature['properties']['class_id']}"
        assert "score" not in feature["properties"]


def test_a_polygon_scores_the_mean_over_its_pixels():
    pytest.importorskip("rasterio")
    two = np.zeros((4, 6), np.uint8)
    two[1:3, 1:4], two[:, 5] = 1, 1
    confidence = np.linspace(0.5, 1, 24).reshape(4, 6).astype(np.float32)
    scores = {
        f["properties"]["area"]: f["properties"]["score"] for f in geojson(two, CARD, confidence)["features"]
    }
    expected = {6: confidence[1:3, 1:4], 4: confidence[:, 5], 14: confidence[two == 0]}
    assert scores == {area: pytest.approx(values.mean(), abs=1e-5) for area, values in expected.items()}


def test_gdal_reads_the_polygons(tmp_path):
    pyogrio = pytest.importorskip("pyogrio")
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({**geojson(labels(), CARD), "fcn-edge.sha256": "0" * 64}))
    meta, _, _, columns = pyogrio.raw.read(path)
    assert list(meta["fields"]) == ["class_id", "class", "area"]
    assert columns[2].sum() == (labels() != 255).sum()
