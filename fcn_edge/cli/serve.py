"""`fcn-edge serve`: a model behind HTTP."""

from __future__ import annotations

from typing import Any

import click

from fcn_edge.cli.numbers import Real, Whole
from fcn_edge.cli.options import (
    allow_operators_option,
    device_option,
    examples,
    model_argument,
    quiet_option,
    threads_option,
    trusted_keys_option,
)

__all__ = ["command"]


def _outputs(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    names = [name.strip() for name in value.split(",") if name.strip()]
    return tuple(dict.fromkeys(["labels", *names]))


@click.command(
    name="serve",
    short_help="Serve MODEL over HTTP: pictures, and the Open Inference Protocol.",
    epilog=examples(
        "fcn-edge serve road.onnx            # then open http://127.0.0.1:8000",
        "curl --data-binary @a.jpg 'http://127.0.0.1:8000/segment?as=overlay' -o overlay.png",
    ),
)
@model_argument
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="The address to listen on; 0.0.0.0 lets other machines connect, without a password.",
)
@click.option("--port", type=Whole(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option(
    "--outputs",
    default="labels",
    callback=_outputs,
    metavar="NAME,...",
    show_default=True,
    help="What clients of the protocol may ask for: labels, and what else the file offers.",
)
@click.option(
    "--max-pixels",
    type=Whole(1, 1 << 31),
    default=4096 * 4096,
    show_default=True,
    help="Of a picture or batch.",
)
@click.option(
    "--max-bytes", type=Whole(1, 1 << 31), default=32 << 20, show_default=True, help="Of a request's body."
)
@click.option(
    "--queue",
    type=Whole(1, 10_000),
    default=16,
    show_default=True,
    help="Requests that are read, wait or run at once; the next are answered 503.",
)
@click.option(
    "--batch", type=Whole(1, 256), default=8, show_default=True, help="Images of one size that run together."
)
@click.option(
    "--seconds",
    type=Real(0.1, 86_400),
    default=30.0,
    show_default=True,
    help="In which a body must be there.",
)
@device_option
@threads_option
@allow_operators_option
@trusted_keys_option
@quiet_option
def command(*, model: str, quiet: bool, **given: Any) -> None:
    """Serve MODEL over HTTP, on this machine alone unless --host names another address.

    \b
    POST /segment?as=labels|overlay|json    a picture as the body -> PNG, or the share of each class
    /v2/models/NAME/infer                   the Open Inference Protocol, as Triton's clients speak it
    /                                       a page to try a picture
    /metrics  /openapi.json  /v2/health/ready

    The file's self-test must pass before it listens. SIGTERM and Ctrl-C finish what runs, then end with 0.
    Needs the extra `serve`.
    """  # noqa: D301 - click wants the character itself
    from fcn_edge._version import __version__
    from fcn_edge_runtime.serving.options import ServeOptions
    from fcn_edge_runtime.serving.server import serve

    def said(line: str) -> None:
        if not quiet:
            click.echo(line)

    serve(model, ServeOptions(**given), __version__, said)
