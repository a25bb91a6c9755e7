"""Figures of an evaluation: confusion matrix and coverage by matplotlib, the worst frames as a sheet."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge.reports.contact_sheet import Tile, painted, write_sheet
from fcn_edge.reports.plottable import plottable
from fcn_edge_runtime._extras import require
from fcn_edge_runtime._files import write_whole
from fcn_edge_runtime._text import printable
from fcn_edge_runtime.errors import FcnEdgeError
from fcn_edge_runtime.evaluation.evaluate import Evaluation
from fcn_edge_runtime.evaluation.masks import count_labels
from fcn_edge_runtime.imaging.reading import read_picture
from fcn_edge_runtime.model.card import ClassInfo
from fcn_edge_runtime.segmentation import as_picture
from fcn_edge_runtime.segmenter import Segmenter

__all__ = ["require_plots", "write_confusion", "write_coverage", "write_worst"]

MOST_NUMBERS = 30  # a matrix of more classes is drawn without numbers, which nobody could read
MOST_CLASSES = 40  # rows and columns: the figure grows with their square
LONGEST_NAME = 30  # characters
NAMED = (0.5, 0.7, 0.9, 0.95, 0.99, 0.999)  # confidences that are written beside the curve


def require_plots() -> None:
    """Find out before the work starts whether the pictures can be drawn.

    Raises:
        FcnEdgeError: matplotlib is not installed.
    """
    require("matplotlib.figure", "the plot", FcnEdgeError, " (or leave out -o)")


def write_confusion(path: Path, found: Evaluation) -> None:
    """The confusion matrix as a PNG: each row in percent of that class's true pixels.

    Raises:
        FcnEdgeError: matplotlib is not installed.
    """
    figure_class = require("matplotlib.figure", "the plot", FcnEdgeError).Figure
    names, matrix = _shown(found)
    share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.45 * len(names)
    figure = figure_class(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.add_subplot()
    drawn = axes.imshow(share[:, : len(names)], cmap="Blues", vmin=0, vmax=100)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    axes.set_title(_title(found), parse_math=False)
    figure.colorbar(drawn, ax=axes, label="% of the class's true pixels", shrink=0.8)
    if len(names) <= MOST_NUMBERS:
        for row, column in np.argwhere(share[:, : len(names)] >= 0.05):
            value = share[row, column]
            ink = "white" if value > 50 else "black"
            axes.text(column, row, f"{value:.1f}", ha="center", va="center", color=ink, fontsize=8)
    _write(path, figure)


def write_coverage(path: Path, found: Evaluation) -> bool:
    """Accuracy over coverage as a PNG, with some confidences named; without a curve the answer is False.

    Raises:
        FcnEdgeError: matplotlib is not installed.
    """
    points = [point for point in found.coverage if point.accuracy is not None]
    if not points:
        return False
    figure = require("matplotlib.figure", "the plot", FcnEdgeError).Figure(
        figsize=(6.4, 4.8), layout="constrained"
    )
    axes = figure.add_subplot()
    xs = [100 * point.coverage for point in points]
    ys = [100 * (point.accuracy or 0) for point in points]
    axes.plot(xs, ys, marker=".", markersize=4, color="#1f4e8c")
    last = None
    for point, x, y in zip(points, xs, ys, strict=True):
        if point.confidence in NAMED and (last is None or abs(x - last) > 3):
            axes.annotate(
                f"{point.confidence:g}", (x, y), xytext=(4, 6), textcoords="offset points", fontsize=8
            )
            axes.plot(x, y, "o", color="#1f4e8c")
            last = x
    axes.set_xlim(0, 102)
    axes.set_xlabel("coverage: % of labeled pixels of this confidence or more")
    axes.set_ylabel("accuracy: % of these that are right")
    axes.grid(alpha=0.3)
    missing = f"\nINCOMPLETE: without {len(found.failed)} that failed" if found.failed else ""
    axes.set_title(
        f"{plottable(found.card.name, 60)}: what a least confidence leaves{missing}", parse_math=False
    )
    _write(path, figure)
    return True


def _write(path: Path, figure: Any) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    write_whole(path, buffer.getvalue())


def _title(found: Evaluation) -> str:
    count = len(found.card.classes)
    lines = [
        f"{plottable(found.card.name, 60)}: mean IoU {found.scores.mean_iou:.4f}, {len(found.images)} images"
    ]
    if found.failed:
        lines.append(f"INCOMPLETE: without {len(found.failed)} that failed")
    if count > MOST_CLASSES:
        lines.append(
            f"the {MOST_CLASSES - 1} classes of {count} with the most true pixels; the others as one"
        )
    return "\n".join(lines)


def _shown(found: Evaluation) -> tuple[list[str], np.ndarray]:
    """Names, and the matrix of as many rows: of many classes those with the most pixels, and the rest."""
    kinds, matrix = found.card.classes, found.matrix
    if len(kinds) <= MOST_CLASSES:
        return [_name(kind) for kind in kinds], matrix
    most = np.sort(np.argsort(-matrix.sum(axis=1), kind="stable")[: MOST_CLASSES - 1])
    place = np.full(len(kinds) + 1, len(most))
    place[most] = np.arange(len(most))
    place[-1] = len(most) + 1  # unlabeled
    smaller = np.zeros((len(most) + 1, len(most) + 2), np.int64)
    rows, columns = np.nonzero(matrix)
    np.add.at(smaller, (place[rows], place[columns]), matrix[rows, columns])
    return [*(_name(kinds[i]) for i in most), f"{len(kinds) - len(most)} others"], smaller


def _name(kind: ClassInfo) -> str:
    """A class's name; where the font lacks some of its characters, with the id, which is unique."""
    name = plottable(kind.name, LONGEST_NAME)
    return name if name == printable(kind.name, LONGEST_NAME) else f"{kind.id}: {name}"


def write_worst(path: Path, segmenter: Segmenter, found: Evaluation, count: int = 6) -> bool:
    """The images with the lowest mean IoU: image, truth, ours, and where they differ in red.

    Volumes are left out; without images nothing is written, and the answer is False.
    """
    rows, card = [], segmenter.card
    seen = np.zeros(len(card.classes), np.int64)  # pixels of each class
    images = [entry for entry in found.worst(len(found.images)) if not entry.hausdorff]
    for entry in images[:count]:
        image = read_picture(entry.pair.image, card.input, segmenter.max_pixels)
        truth, result = entry.pair.truth(card), segmenter(image.pixels)
        if found.threshold is not None and segmenter.threshold is None:
            result = result.thresholded(found.threshold)
        picture = as_picture(image.shown, card.input)
        for labels in (truth, result.labels):
            seen += count_labels(labels, len(seen))[0]
        wrong = (truth < len(card.classes)) & (truth != result.labels)
        marked = np.where(wrong[..., None], np.array([255, 0, 0], np.uint8), picture // 2 + 64)
        rows.append(
            (
                Tile(picture, f"{entry.pair.image.name}  IoU {entry.scores.mean_iou:.3f}"),
                Tile(painted(truth, card), "truth"),
                Tile(result.colored(), "ours"),
                Tile(marked.astype(np.uint8), f"wrong: {wrong.mean():.1%}"),
            )
        )
    if not rows:
        return False
    key = [card.classes[i] for i in np.argsort(-seen, kind="stable") if seen[i]]
    title = f"{found.card.name}: the worst of {len(images)} images"
    write_sheet(path, rows, title=title, key=key)
    return True
