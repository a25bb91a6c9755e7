"""`fcn-edge web`: a page that runs a model in the browser."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from fcn_edge.cli.completion import files
from fcn_edge.cli.options import FilePath, allow_operators_option, examples, model_argument, printable

__all__ = ["command"]


@click.command(
    name="web",
    short_help="Write a web page that runs MODEL in the browser.",
    epilog=examples(
        "fcn-edge web portrait.onnx -o site --sample me.jpg",
        "python -m http.server -d site        # then open http://localhost:8000",
    ),
)
@model_argument
@click.option(
    "-o",
    "--out",
    required=True,
    type=FilePath(path_type=Path),
    metavar="DIR",
    help="Folder of the site. Files of an earlier site in it are replaced.",
)
@click.option(
    "--sample",
    "samples",
    multiple=True,
    type=FilePath(path_type=Path),
    metavar="PICTURE",
    shell_complete=files,
    help="A PNG, JPEG or WebP that the page offers to try; may be repeated.",
)
@click.option(
    "--onnxruntime-web",
    "package",
    type=FilePath(path_type=Path),
    metavar="DIR",
    shell_complete=files,
    help="The unpacked npm package onnxruntime-web.  [default: a copy in the cache, which npm fetches once]",
)
@allow_operators_option
def command(*, model: str, out: Path, samples: tuple[Path, ...], package: Path | None) -> None:
    """Write a static page that runs MODEL in the browser: on pictures, on samples, and on the camera.

    The page loads nothing from other servers, and pictures do not leave the browser. The model's seal and its
    self-test are checked there, too.
    """
    from fcn_edge.web.site import write_site

    site = write_site(Path(model), out, samples, package)
    click.echo(f"page   {printable(str(site.page))}")
    click.echo(f"size   {site.bytes / 1e6:.1f} MB in {len(site.files)} files")
    click.echo(f"serve  python -m http.server -d {printable(shlex.quote(str(out)))}")
