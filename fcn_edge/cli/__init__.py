"""The command line: `fcn-edge COMMAND`. Commands parse, call and print; they contain no other logic.

Each command lives in the module of its name, as an object called `command`, and is imported when it is
needed; each heavy library is imported inside the command that needs it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn, TextIO

import click

from fcn_edge._extras import too_old_for_export
from fcn_edge.cli._lazy import LazyGroup
from fcn_edge.cli.interrupts import patient_interrupts
from fcn_edge.cli.options import printable
from fcn_edge.cli.streams import PrintableStream
from fcn_edge_runtime._extras import extra_of, install_command
from fcn_edge_runtime._text import printable_lines
from fcn_edge_runtime.errors import FcnEdgeError

__all__ = ["COMMANDS", "cli", "main"]

COMMANDS = (
    "nets",
    "export",
    "adopt",
    "quantize",
    "variant",
    "verify",
    "selftest",
    "run",
    "map",
    "evaluate",
    "bench",
    "tune",
    "plan",
    "inspect",
    "sign",
    "verify-signature",
    "doctor",
    "robot",
    "web",
    "serve",
    "package",
    "demo",
)
_MAY_HANG = "fcn-edge-worker"  # as `robot.worker.WORKER`, which would load numpy; a test compares them
EXIT_BUG = 70
EXIT_INTERRUPTED = 130
_STDOUT_ERRORS = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}

_EPILOG = """\b
Examples:
  fcn-edge export fcn_resnet50 --weights net.pth --classes voc -o road.onnx
  fcn-edge selftest road.onnx --device cuda
  fcn-edge run road.onnx photos/ -o out
  fcn-edge inspect road.onnx --json

\b
Completion by Tab, in ~/.bashrc (zsh and fish likewise):
  eval "$(_FCN_EDGE_COMPLETE=bash_source fcn-edge)"

\b
Exit codes: 0 done, 1 an error in an input (also: some images failed), 2 wrong usage,
3 a verification or self-test failed, 4 a device is not available, 70 a bug in fcn-edge.
"""


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's form
    if not wanted or ctx.resilient_parsing:
        return
    from fcn_edge._version import __version__

    click.echo(f"fcn-edge {__version__}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    package=__name__,
    names=COMMANDS,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Turn a PyTorch FCN into one verified ONNX file, and run it where there is no PyTorch."""


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and exit the process with its code; see the error tree for the codes."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            # A file name or a class name that the terminal cannot show must not end the program.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # pytest's have none
    sys.stdout, sys.stderr = PrintableStream(sys.stdout), PrintableStream(sys.stderr)
    warnings.showwarning = _show_warning
    code = _run(args)
    try:
        sys.stdout.flush()
    except OSError as error:
        unwritten = _unwritten(error)
        code = code or unwritten
    if any(thread.name.startswith(_MAY_HANG) for thread in threading.enumerate()):
        os._exit(code)  # it is within a library, whose memory the end of the interpreter would free
    sys.exit(code)


def _open_closed_streams() -> None:
    """Let streams that are closed, as by `>&-`, cron or pythonw, lead nowhere: the work is done all the same.

    Otherwise the next opened file would get the descriptor, and what libraries print would go into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor: this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - for good


def _run(args: Sequence[str] | None) -> int:  # noqa: C901, PLR0911 - one return for each way to end
    """Run a command line, show its error in one line, and return its exit code."""
    try:
        with patient_interrupts():
            result: Any = cli.main(args=args, prog_name="fcn-edge", standalone_mode=False)
    except click.ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # click has it from 8.2 on
            click.echo(error.format_message(), err=True)
            return error.exit_code
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "fcn-edge"
        return _fail(f"{error.format_message().rstrip('.')}: see `{where} --help`", error.exit_code)
    except FcnEdgeError as error:
        return _fail(str(error), error.exit_code)
    except click.Abort as error:
        if isinstance(error.__cause__ or error.__context__, EOFError):
            return _bug()
        return _fail("interrupted", EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        return _fail("interrupted", EXIT_INTERRUPTED)
    except OSError as error:
        # Errors of files carry the file's name; without a name it is stdout.
        named = error.filename is not None or error.errno not in _STDOUT_ERRORS
        return _bug() if named else _unwritten(error)
    except ModuleNotFoundError as error:
        extra = extra_of(error.name or "")
        return _bug() if extra is None else _fail(_missing(error.name or "", extra), 1)
    except Warning as warning:  # PYTHONWARNINGS=error, python -W error: whoever asked for it gets it
        return _fail(f"a warning, which is an error here by PYTHONWARNINGS or -W: {warning}", 1)
    except Exception:  # noqa: BLE001 - the last place to tell a bug from a mistake of the user
        return _bug()
    return result if isinstance(result, int) else 0


def _missing(module: str, extra: str) -> str:
    if extra in ("export", "quantize") and (reason := too_old_for_export()):
        return reason
    package = module.partition(".")[0]
    return f"this command needs {package}, which is not installed: {install_command(extra)}"


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Our warnings are one line for the user; those of libraries keep their place in the code."""
    del file
    text = f"warning: {printable(str(message))}"
    if category is not UserWarning:
        text = warnings.formatwarning(message, category, filename, lineno, line).rstrip()
        text = printable_lines(text)
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def _fail(message: str, code: int) -> int:
    # Names from files may hold control characters; a terminal must not obey them.
    with contextlib.suppress(OSError):
        click.echo(f"error: {printable(message)}", err=True)
    return code


def _bug() -> int:
    with contextlib.suppress(OSError):
        click.echo(printable_lines(traceback.format_exc()), err=True)
        click.echo("error: this is a bug in fcn-edge; please report it with the lines above", err=True)
    return EXIT_BUG


def _unwritten(error: OSError) -> int:
    """The result cannot be written to stdout: an error, unless the reader closed a pipe, as `head` does."""
    _silence(sys.stdout)
    if error.errno == errno.EPIPE:
        return 1
    return _fail(
        f"the result cannot be written to stdout ({error.strerror}): make room, or redirect it elsewhere", 1
    )


def _silence(stream: Any) -> None:
    """Discard the interpreter's last flush, which would print a second error."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
