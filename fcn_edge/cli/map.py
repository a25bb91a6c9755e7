"""`fcn-edge map`: a georeferenced raster in, a georeferenced map of classes out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fcn_edge.cli.completion import files
from fcn_edge.cli.numbers import Real, Whole
from fcn_edge.cli.options import (
    LONGEST_NAME,
    FilePath,
    allow_operators_option,
    device_option,
    examples,
    json_option,
    printable,
    quiet_option,
    threads_option,
    trusted_keys_option,
)

if TYPE_CHECKING:
    from fcn_edge_runtime.maps.label_raster import MapResult

__all__ = ["command"]

_MEMORY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(MiB|GiB|MB|GB)", re.IGNORECASE)
_UNITS = {"mib": 1 << 20, "gib": 1 << 30, "mb": 10**6, "gb": 10**9}


def _memory(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    match = _MEMORY.fullmatch(value.strip())
    if match is None:
        raise click.BadParameter(f"got {value[:40]!r}, expected such as 800MiB or 2GiB", ctx, param)
    return int(float(match[1]) * _UNITS[match[2].lower()])


def _overlap(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    match = re.fullmatch(r"overlap=([0-9]{1,5})", value.strip())
    if match is None or int(match[1]) == 0:
        raise click.BadParameter(f"got {value[:40]!r}, expected such as overlap=256", ctx, param)
    return int(match[1])


def _bands(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


@click.command(
    name="map",
    short_help="Label a georeferenced raster of any size.",
    epilog=examples(
        "fcn-edge map ortho.tif --model cover.onnx -o cover.tif",
        "fcn-edge map scene.vrt --model cover.onnx -o cover.tif --bands 4,3,2 --polygons cover.gpkg",
    ),
)
@click.argument("raster", metavar="INPUT", type=FilePath(), shell_complete=files)
@click.option(
    "--model", required=True, metavar="MODEL.onnx", type=FilePath(), shell_complete=files, help="The network."
)
@click.option(
    "-o",
    "--out",
    required=True,
    type=FilePath(path_type=Path),
    metavar="MAP.tif",
    help="The map: a Cloud Optimized GeoTIFF of class ids, 255 where there is no data.",
)
@click.option(
    "--bands",
    default="",
    callback=_bands,
    metavar="LIST",
    help="Bands in the network's order, by number or name, such as 4,3,2.  [default: by the card's names, "
    "then red, green and blue, then all]",
)
@click.option(
    "--confidence",
    type=FilePath(path_type=Path),
    metavar="FILE.tif",
    help="Also write the probability of each pixel's class.",
)
@click.option(
    "--probabilities",
    type=FilePath(path_type=Path),
    metavar="FILE.tif",
    help="Also write the probabilities of all classes, a band each, in steps of 1/254.",
)
@click.option(
    "--polygons",
    type=FilePath(path_type=Path),
    metavar="FILE",
    help="Also write the classes as polygons with areas in square meters: .gpkg, .geojson, .fgb or .parquet.",
)
@click.option(
    "--min-area", type=Real(0), default=0.0, metavar="M2", help="Leave out smaller polygons, square meters."
)
@click.option(
    "--simplify",
    type=Real(0, above=True),
    metavar="METERS",
    help="Of polygons: take away corners of details smaller than this. Neighbors keep common borders. All "
    "polygons are in memory then.",
)
@click.option(
    "--resolution",
    type=Real(0, above=True),
    metavar="METERS",
    help="Resample to this size of a pixel first: the one that the network was trained at.",
)
@click.option("--stored-values", is_flag=True, help="Ignore the file's scale and offset of numbers.")
@click.option(
    "--approximate",
    callback=_overlap,
    metavar="overlap=N",
    help="Accept labels that are not those of the whole image: scores of windows that overlap by N pixels "
    "are blended. For networks that see the whole image.",
)
@click.option(
    "--workers",
    type=Whole(1, 1024),
    metavar="N",
    help="Label tiles in N processes, of one thread each unless --threads says more.",
)
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Label tiles on a Ray cluster: its address, auto, or local for this machine alone; --workers is the "
    "number of actors. Needs the extra `ray`.",
)
@click.option("--no-preview", is_flag=True, help="No picture of the map beside it.")
@click.option(
    "--memory",
    callback=_memory,
    metavar="SIZE",
    help="What a process may take, such as 2GiB; tiles are as large as that allows.  [default: 1GiB, or "
    "half of what is free]",
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there; never the input.")
@device_option
@threads_option
@allow_operators_option
@trusted_keys_option
@json_option
@quiet_option
def command(
    *, raster: str, model: str, out: Path, as_json: bool, quiet: bool, no_preview: bool, **given: Any
) -> None:
    """Label INPUT, a raster of any size, with the network of MODEL.

    The labels are exactly those of the whole image in one piece (unless --approximate), in memory that does
    not grow with its height. INPUT is a GeoTIFF (COG, BigTIFF, pyramids of pathology), a VRT mosaic,
    JPEG 2000, PNG or JPEG; gdal_translate makes a GeoTIFF of other formats.

    \b
    Written for -o MAP.tif:
      MAP.tif          class ids, with the raster's georeference and the classes' colors
      MAP.tif.aux.xml  names of the classes, for GIS programs
      MAP.qml          the classes, for QGIS
      MAP.preview.png  the classes over the image, for a screen

    Killed or stopped by Ctrl-C, the same command goes on where it was. Needs the extra `geo`.
    """  # noqa: D301 - click wants the character itself
    from fcn_edge.cli.progress import progress_on_stderr
    from fcn_edge_runtime.maps.label_raster import MapOptions, label_raster

    options = MapOptions(preview=not no_preview, **given)
    try:
        with progress_on_stderr(quiet=quiet) as progress:
            result = label_raster(raster, model, out, options, progress)
    except KeyboardInterrupt:
        click.echo("the same command goes on where this one was stopped", err=True)
        raise
    if as_json:
        click.echo(json.dumps({"raster": raster, "model": model, **result.to_dict()}))
    elif not quiet:
        _show(result)


def _area_text(square_meters: float) -> str:
    if square_meters < 1e6:
        return f"{square_meters:,.1f} m2"
    return f"{square_meters / 1e6:,.3f} km2"


def _show(result: MapResult) -> None:
    height, width = result.size
    how = "" if result.exact else ", approximate"
    click.echo(f"{printable(str(result.written[0]))}: {width}x{height} pixels{how}")
    for area in sorted((area for area in result.areas if area.pixels), key=lambda area: -area.pixels):
        ground = "" if area.square_meters is None else f"  {_area_text(area.square_meters):>14}"
        click.echo(f"  {printable(area.name, LONGEST_NAME):<20} {area.share:7.2%}{ground}")
    if result.resumed:
        click.echo(f"{result.resumed} tiles were done by an earlier run", err=True)
