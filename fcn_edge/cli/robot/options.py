"""Options shared by the robot commands."""

from __future__ import annotations

import click

from fcn_edge.cli.completion import files
from fcn_edge.cli.numbers import SHARE, Whole
from fcn_edge.cli.options import FilePath, allow_operators_option, option_group, trusted_keys_option
from fcn_edge_runtime.errors import UsageError

__all__ = ["model_option", "overlay_alpha_option", "prefix_option", "shrink_option"]


# The model, what is accepted in it, and who must have signed it.
model_option = option_group(
    click.option(
        "--model",
        required=True,
        metavar="MODEL.onnx",
        type=FilePath(),
        shell_complete=files,
        help="The model to run.",
    ),
    allow_operators_option,
    trusted_keys_option,
)

prefix_option = click.option(
    "--prefix",
    default="/segmentation",
    show_default=True,
    metavar="NAME",
    help="Topics are named below it: NAME/mask, NAME/confidence, NAME/overlay, NAME/label_info.",
)

shrink_option = click.option(
    "--shrink",
    type=Whole(1, 16),
    default=1,
    show_default=True,
    metavar="N",
    help="Segment the image N times smaller in each direction; masks keep the source's size.",
)

overlay_alpha_option = click.option(
    "--overlay-alpha",
    type=SHARE,
    default=0.5,
    show_default=True,
    help="0 shows only the image in overlays, 1 only the colors.",
)


def required(value: str | None, what: str) -> str:
    """The value; raises UsageError if the option is missing."""
    if value is None:
        raise UsageError(f"{what} is missing")
    return value
