"""Options of `fcn-edge run` that change images: which effect, on which class, with what."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from fcn_edge_runtime.imaging.effects import Effect

__all__ = ["effect_from", "effect_options"]

F = TypeVar("F", bound=Callable[..., Any])
# As in `fcn_edge_runtime.imaging.effects`, which would load numpy for `--help`; a test compares the two.
NAMES = ("blur-background", "replace-background", "gray-background", "tint")


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


def _radius(_: click.Context, __: click.Parameter, value: str) -> tuple[float | None, float]:
    """In pixels, or None and a share of the longer side."""
    try:
        number = float(value.removesuffix("%"))
    except ValueError:
        raise click.BadParameter(
            f"got {value!r}, expected pixels such as 12, or percent such as 1.5%"
        ) from None
    return (None, number / 100) if value.endswith("%") else (number, 0.015)


_OPTIONS = (
    click.option(
        "--effect", type=click.Choice(NAMES), help="Also write the changed images: STEM.effect.png."
    ),
    click.option(
        "--class", "classes", multiple=True, metavar="NAME", help="The class to keep or to tint; repeatable."
    ),
    click.option(
        "--background",
        default="#ffffff",
        show_default=True,
        metavar="FILE|#rrggbb",
        help="What replaces the background; an image is scaled to cover it.",
    ),
    click.option(
        "--color", callback=_tint, metavar="#rrggbb", help="The tint.  [default: the class's color]"
    ),
    click.option(
        "--radius",
        default="1.5%",
        show_default=True,
        callback=_radius,
        metavar="P%|PIXELS",
        help="Of the blur: percent of the longer side, or pixels.",
    ),
    click.option("--feather", type=float, default=1, show_default=True, help="Softness of edges, in pixels."),
)


def effect_options(command: F) -> F:
    """The options that `effect_from` reads."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def effect_from(given: Mapping[str, Any]) -> Effect | None:
    """The effect of these options; None without one.

    Raises:
        UsageError: options of an effect without an effect.
        InputError: the background cannot be read.
    """
    from fcn_edge_runtime.errors import UsageError

    if given["effect"] is None:
        if given["classes"]:
            raise UsageError(
                f"--class names what an effect applies to: add --effect, one of {', '.join(NAMES)}"
            )
        return None
    from fcn_edge_runtime.imaging.effects import Effect
    from fcn_edge_runtime.imaging.reading import read_image
    from fcn_edge_runtime.model.card import InputSpec

    text = given["background"]
    background = _color(text)
    return Effect(
        name=given["effect"],
        classes=given["classes"],
        background=background if background is not None else read_image(Path(text), InputSpec.default()),
        color=given["color"],
        radius=given["radius"][0],
        radius_share=given["radius"][1],
        feather=given["feather"],
    )
