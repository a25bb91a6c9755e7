"""Options of every command that reads label files: how masks are read, and how they are named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fcn_edge.cli.numbers import Whole
from fcn_edge.cli.options import option_group

if TYPE_CHECKING:
    from fcn_edge_runtime.evaluation.masks import LabelFolder

__all__ = ["label_folder", "label_options"]


# The options that `label_folder` reads.
label_options = option_group(
    click.option(
        "--labels-by",
        type=click.Choice(["auto", "id", "color"]),
        default="auto",
        show_default=True,
        help="How masks are read: by the class ids that they store, or by the exact colors of the classes. "
        "auto: by ids, or by a palette's colors where all of them are the model's.",
    ),
    click.option(
        "--foreground",
        type=Whole(1, 65535),
        metavar="VALUE",
        help="For binary masks: pixels of VALUE, such as 255, are class 1, and 0 is class 0.",
    ),
    click.option(
        "--suffix",
        default="",
        metavar="TEXT",
        help="How the names of masks end: with _mask, the mask of a.jpg is a_mask.png.",
    ),
)


def label_folder(path: Path | None, given: Mapping[str, Any]) -> LabelFolder | None:
    """The folder of labels that the options describe; None without --labels.

    Raises:
        UsageError: options without a folder, or options that contradict each other.
    """
    from fcn_edge_runtime.errors import UsageError
    from fcn_edge_runtime.evaluation.masks import LabelFolder

    by, foreground, suffix = given["labels_by"], given["foreground"], given["suffix"]
    if path is None:
        if by != "auto" or foreground is not None or suffix:
            raise UsageError("--labels-by, --foreground and --suffix describe labels: give --labels DIR, too")
        return None
    return LabelFolder(path, by, foreground, suffix)
