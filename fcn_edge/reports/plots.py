"""Figures of an evaluation: the confusion matrix by matplotlib, the worst frames as a contact sheet."""

from __future__ import annotations

import io
from pathlib import Path

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

__all__ = ["require_plots", "write_confusion", "write_worst"]

MOST_NUMBERS = 30  # a matrix of more classes is drawn without numbers, which nobody could read
MOST_CLASSES = 40  # rows and columns: the figure grows with their square
LONGEST_NAME = 30  # characters


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
