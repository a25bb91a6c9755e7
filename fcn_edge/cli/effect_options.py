"""Options of commands that change images and videos: which effect, on which class, with what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fcn_edge.cli.completion import classes, files
from fcn_edge.cli.numbers import Real
from fcn_edge.cli.options import FilePath, option_group

if TYPE_CHECKING:
    from fcn_edge_runtime.imaging.effects import Effect

__all__ = ["effect_from", "effect_options"]

# As in `fcn_edge_runtime.imaging.effects`, which would load numpy for `--help`; a test compares the two.
NAMES = ("blur-background", "replace-background", "gray-background", "tint")
# Options that only one effect has; the others belong to all.
_ONLY_FOR = {"background": "replace-background", "color": "tint", "radius": "blur-background"}


def _color(text: str) -> tuple[int, int, int] | None:
    match = re.fullmatch(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})", text)
    return (int(match[1], 16), int(match[2], 16), int(match[3], 16)) if match else None


def _tint(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, int, int] | None:
    if value is None:
        return None
    color = _color(value)
    if color is None:
        raise click.BadParameter(f"got {value!r}, expected #rrggbb such as #dc143c")
    return color


class _Radius(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in newer versions of click
    """In pixels, or percent of the longer side: (pixels, share), where pixels may be None."""

    name = "P%|PIXELS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float | None, float]:
        """'1.5%' -> (None, 0.015), '12' -> (12.0, 0.015).

        Raises:
            click.BadParameter: it is not a number, or out of bounds.
        """
        if str(value).endswith("%"):
            return None, Real(0, 10, above=True).convert(str(value)[:-1], param, ctx) / 100
        return Real(0, 1000, above=True).convert(value, param, ctx), 0.015


# The options that `effect_from` reads.
effect_options = option_group(
    click.option(
        "--effect",
        type=click.Choice(NAMES),
        help="Change the background, or color a class.  [default: no effect]",
    ),
    click.option(
        "--class",
        "classes",
        multiple=True,
        metavar="NAME",
        shell_complete=classes,
        help="The class to keep or to tint; repeatable.",
    ),
    click.option(
        "--background",
        default="#ffffff",
        show_default=True,
        metavar="FILE|#rrggbb",
        type=FilePath(),
        shell_complete=files,
        help="What replaces the background; an image is scaled to cover it.",
    ),
    click.option(
        "--color", callback=_tint, metavar="#rrggbb", help="Of the tint.  [default: the color of the class]"
    ),
    click.option(
        "--radius",
        default="1.5%",
        show_default=True,
        type=_Radius(),
        help="Of the blur: percent of the longer side of the image, or pixels.",
    ),
    click.option(
        "--feather",
        type=Real(0, 100),
        default=1.0,
        show_default=True,
        metavar="PIXELS",
        help="How soft the edges of the class are.",
    ),
)


def effect_from(given: Mapping[str, Any]) -> Effect | None:
    """The effect of these options; None without one.

    Raises:
        UsageError: options of an effect without an effect, or of another one.
        InputError: the background cannot be read.
    """
    from fcn_edge_runtime.errors import UsageError

    name = given["effect"]
    for option in ("classes", "background", "color", "radius", "feather"):
        only, shown = _ONLY_FOR.get(option), "class" if option == "classes" else option
        if not _typed(option):
            continue
        if name is None:
            raise UsageError(f"--{shown} belongs to an effect: add --effect, one of {', '.join(NAMES)}")
        if only not in (None, name):
            raise UsageError(f"--{shown} belongs to {only}, and the effect is {name}: leave it out")
    if name is None:
        return None
    from fcn_edge_runtime.imaging.effects import Effect
    from fcn_edge_runtime.imaging.reading import read_image
    from fcn_edge_runtime.model.card import InputSpec

    text = given["background"]
    background = _color(text)
    return Effect(
        name=name,
        classes=given["classes"],
        background=background if background is not None else read_image(Path(text), InputSpec.default()),
        color=given["color"],
        radius=given["radius"][0],
        radius_share=given["radius"][1],
        feather=given["feather"],
    )


def _typed(option: str) -> bool:
    """Whether the user gave the option; False for its default."""
    return click.get_current_context().get_parameter_source(option) is ParameterSource.COMMANDLINE
