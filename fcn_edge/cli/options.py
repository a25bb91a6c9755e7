"""Options and arguments that several commands share, each declared once."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from fcn_edge.cli.completion import files, words
from fcn_edge.cli.numbers import PROBABILITY, THREADS
from fcn_edge_runtime._sizes import parse_size
from fcn_edge_runtime._text import printable
from fcn_edge_runtime.errors import UsageError

__all__ = [
    "LONGEST_NAME",
    "FilePath",
    "SizeType",
    "SizesType",
    "allow_operators_option",
    "device_option",
    "examples",
    "json_option",
    "model_argument",
    "named_error",
    "option_group",
    "printable",
    "profile_option",
    "quiet_option",
    "size_option",
    "threads_option",
    "threshold_option",
]


DEVICES = ("auto", "cpu", "cuda", "openvino", "tensorrt")  # names that people type; others are taken, too
LONGEST_NAME = 60  # of a class, in characters
_LONGEST_SIZE = 40  # characters
MOST_PIXELS = 100_000_000  # as `imaging.arrays.MAX_PIXELS`, which would load numpy; a test compares them

Command = TypeVar("Command", bound=Callable[..., Any])


def option_group(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Options that belong together as one decorator; `--help` lists them in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


class FilePath(click.Path):
    """A file or a folder. An empty name, as from an unset shell variable, is not the working folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value as `path_type`.

        Raises:
            click.BadParameter: the name is empty.
        """
        if not str(value):
            self.fail("got an empty name, expected a file or a folder", param, ctx)
        return super().convert(value, param, ctx)


class SizeType(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in newer versions of click
    """A height and a width, such as 480x640."""

    name = "HxW"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """'480x640' -> (480, 640).

        Raises:
            click.BadParameter: it is anything else, or more pixels than an image may have.
        """
        if len(str(value)) > _LONGEST_SIZE:
            self.fail(f"got {len(str(value))} characters, expected HEIGHTxWIDTH such as 480x640", param, ctx)
        try:
            height, width = parse_size(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)
        if height * width > MOST_PIXELS:
            self.fail(f"got {height}x{width}, expected at most {MOST_PIXELS:,} pixels", param, ctx)
        return height, width


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


model_argument = click.argument("model", metavar="MODEL.onnx", type=FilePath(), shell_complete=files)


def _set_variable(ctx: click.Context, name: str, value: str) -> None:
    before = os.environ.get(name)
    os.environ[name] = value

    def restore() -> None:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before

    ctx.call_on_close(restore)


def _allow(ctx: click.Context, _: click.Parameter, value: str) -> None:
    """Through the environment, so that child processes accept them, too; until the command ends."""
    from fcn_edge_runtime.model.allowed import ALLOW_OPERATORS

    _set_variable(ctx, ALLOW_OPERATORS, value)


allow_operators_option = click.option(
    "--allow-operators",
    envvar="FCN_EDGE_ALLOW_OPERATORS",
    default="",
    expose_value=False,
    is_eager=True,
    callback=_allow,
    metavar="NAME,...",
    help="Accept these operators, too, which an export does not write: only in files whose origin you know.",
)


def _trust(ctx: click.Context, _: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """As `_allow`; a key that is not there is an error of usage, before the work starts."""
    from fcn_edge_runtime.model.allowed import TRUSTED_KEYS

    _set_variable(ctx, TRUSTED_KEYS, os.pathsep.join(map(os.path.abspath, value)))
    return value


trusted_keys_option = click.option(
    "--trusted-keys",
    envvar="FCN_EDGE_TRUSTED_KEYS",
    multiple=True,
    expose_value=False,
    is_eager=True,
    type=FilePath(exists=True, dir_okay=False),
    callback=_trust,
    metavar="PUBLIC.pem",
    shell_complete=files,
    help="Open MODEL only if this key signed it, as `fcn-edge sign` does; repeatable, one of them is enough.",
)

device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="NAME",
    shell_complete=words(*DEVICES),
    help="cpu, cuda, or any provider of this onnxruntime: it is used, or the command fails. auto takes the "
    "first of cuda, openvino and cpu that starts and passes the model's self-test.",
)

threads_option = click.option(
    "--threads",
    type=THREADS,
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
    type=FilePath(),
    shell_complete=files,
    help="A profile from `fcn-edge tune` for this model on this machine: device, threads and options.",
)

threshold_option = click.option(
    "--threshold",
    type=PROBABILITY,
    metavar="P",
    help="The probability that a label needs, 0 to 1. Of two classes, a pixel is class 1 where that reaches "
    "P; of more, a pixel below P becomes unlabeled.  [default: the most probable class wins]",
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object and nothing else to stdout."
)

quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")


def examples(*lines: str) -> str:
    """The epilog of a command's help: example lines, shown as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def named_error(name: str, error: str) -> str:
    """An error in a list of several: it begins with the name of what failed, unless it holds the name."""
    shown = printable(name)
    return error if shown in error else f"{shown}: {error}"
