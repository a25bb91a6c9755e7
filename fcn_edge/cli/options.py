"""Options and arguments that several commands share, each declared once."""

from __future__ import annotations

import re
from typing import Any

import click

__all__ = [
    "OutputPath",
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
    """Where to write. An empty name, as an unset shell variable gives, is not the working folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value as `path_type`.

        Raises:
            click.BadParameter: the name is empty.
        """
        if not str(value):
            self.fail("got an empty name, expected where to write", param, ctx)
        return super().convert(value, param, ctx)


model_argument = click.argument("model", metavar="MODEL.onnx")

device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="auto (CUDA where it really starts, else the CPU), cpu, cuda, or any provider of this onnxruntime. "
    "What is asked for is used or refused.",
)

threads_option = click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Threads on the CPU.  [default: all cores this process may use]",
)


def _size(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, int] | None:
    match = re.fullmatch(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", (value or "").strip().lower())
    if value is None or match:
        return (int(match[1]), int(match[2])) if match else None
    raise click.BadParameter(f"got {value!r}, expected HEIGHTxWIDTH such as 480x640")


size_option = click.option(
    "--size",
    metavar="HxW",
    callback=_size,
    help="Height and width of the frames.  [default: as --images are, else 480x640]",
)

profile_option = click.option(
    "--profile",
    metavar="PROFILE.json",
    help="Device, threads and options that `fcn-edge tune` found for this model on this machine.",
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object and nothing else to stdout."
)

quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")


def examples(*lines: str) -> str:
    """The epilog of a command's help: lines that are shown as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def printable(text: str) -> str:
    """Text out of a file, made safe for a terminal: control characters are shown, not obeyed."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
