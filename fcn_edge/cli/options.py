"""Options and arguments that several commands share, each declared once."""

from __future__ import annotations

from typing import Any

import click

from fcn_edge_runtime._sizes import parse_size
from fcn_edge_runtime.errors import UsageError

__all__ = [
    "OutputPath",
    "SizeType",
    "SizesType",
    "device_option",
    "examples",
    "json_option",
    "model_argument",
    "printable",
    "profile_option",
    "quiet_option",
    "size_option",
    "threads_option",
]


class OutputPath(click.Path):
    """Where to write. An empty name, as from an unset shell variable, is not the working folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value as `path_type`.

        Raises:
            click.BadParameter: the name is empty.
        """
        if not str(value):
            self.fail("got an empty name, expected where to write", param, ctx)
        return super().convert(value, param, ctx)


class SizeType(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in newer versions of click
    """A height and a width, such as 480x640."""

    name = "HxW"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """'480x640' -> (480, 640).

        Raises:
            click.BadParameter: it is anything else.
        """
        try:
            return parse_size(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)


class SizesType(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # as above
    """Any number of heights and widths, such as 480x640,720x1280."""

    name = "HxW,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[tuple[int, int], ...]:
        """'480x640,720x1280' -> ((480, 640), (720, 1280)).

        Raises:
            click.BadParameter: one of them is anything else.
        """
        if isinstance(value, tuple):  # the default
            return value
        return tuple(SizeType().convert(text, param, ctx) for text in value.split(",") if text.strip())


model_argument = click.argument("model", metavar="MODEL.onnx")

device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="auto (CUDA where it really starts, else the CPU), cpu, cuda, or any provider of this onnxruntime. "
    "Another one is never used instead.",
)

threads_option = click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Threads on the CPU.  [default: all cores this process may use]",
)


size_option = click.option(
    "--size",
    type=SizeType(),
    metavar="HxW",
    help="Height and width of the frames.  [default: as --images are, else 480x640]",
)

profile_option = click.option(
    "--profile",
    metavar="PROFILE.json",
    help="A profile from `fcn-edge tune` for this model on this machine: device, threads and options.",
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object and nothing else to stdout."
)

quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")


def examples(*lines: str) -> str:
    """The epilog of a command's help: example lines, shown as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def printable(text: str) -> str:
    """Text from a file, made safe for a terminal: control characters are shown, not obeyed."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
