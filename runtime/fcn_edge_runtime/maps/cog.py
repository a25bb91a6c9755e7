"""The map's files: Cloud Optimized GeoTIFFs, and the names of the classes beside the labels."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from fcn_edge_runtime._files import part_of
from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.imaging.areas import color_table
from fcn_edge_runtime.maps.labeled import NO_PROBABILITY, PROBABLE
from fcn_edge_runtime.maps.overviews import Overviews, create, plain_profile, window_of
from fcn_edge_runtime.maps.raster import Raster
from fcn_edge_runtime.maps.sizing import BLOCK
from fcn_edge_runtime.maps.tiles import Tile
from fcn_edge_runtime.model.card import Card

__all__ = ["class_names", "qgis_style", "write_confidence", "write_labels", "write_probabilities"]

# GDAL's numbers for types and usages of columns.
_COLUMNS = (("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8))


Tiles = Iterable[tuple[Tile, np.ndarray]]


def write_labels(
    path: Path, raster: Raster, card: Card, tags: dict[str, str], tiles: Tiles, core: tuple[int, int]
) -> None:
    """Write the labels to a part of the map: overviews have the most frequent class.

    Args:
        path: the part.
        raster: what was labeled.
        card: of the model.
        tags: texts to keep in the file.
        tiles: all of them, with labels.
        core: rows and columns of a tile.

    Raises:
        ArtifactError: the disk is full or fails.
    """
    colors = {label: (*map(int, color), 255) for label, color in enumerate(color_table(card))}
    colors[card.unlabeled] = (0, 0, 0, 0)
    size, nothing = (raster.height, raster.width), card.unlabeled
    with _plain(path, raster, card.label_dtype, nothing, tags) as (folder, file):
        if card.label_dtype == "uint8":
            file.write_colormap(1, colors)
        file.set_band_description(1, "class")
        with Overviews.at(folder, size, card.label_dtype, nothing, core) as smaller:
            for tile, labels in tiles:
                file.write(labels, 1, window=window_of(*tile.core))
                smaller.add(tile, labels)
        file.close()
        _to_cog(smaller.joined(Path(file.name)), path)


def write_confidence(path: Path, raster: Raster, tags: dict[str, str], tiles: Tiles) -> None:
    """Write the winners' probabilities, float32, NaN where there is no data; else as `write_labels`."""
    with _plain(path, raster, "float32", float("nan"), tags) as (_, file):
        file.set_band_description(1, "confidence")
        for tile, values in tiles:
            file.write(values, 1, window=window_of(*tile.core))
        file.close()
        _to_cog(file.name, path, overview_resampling="average")


def write_probabilities(path: Path, raster: Raster, card: Card, tags: dict[str, str], tiles: Tiles) -> None:
    """Write the probabilities of all classes, a band each: uint8 with a scale in the file, 255 is no data."""
    from rasterio.enums import ColorInterp

    bands = len(card.classes)
    with _plain(path, raster, "uint8", NO_PROBABILITY, tags, bands) as (_, file):
        file.colorinterp = (ColorInterp.gray,) * bands
        file.descriptions = tuple(c.name for c in card.classes)
        file.scales = (1 / PROBABLE,) * bands
        for tile, values in tiles:
            file.write(values, window=window_of(*tile.core))
        file.close()
        _to_cog(file.name, path, overview_resampling="average")


def class_names(card: Card) -> str:
    """What GDAL keeps beside a GeoTIFF, in `.aux.xml`: names and colors of the classes."""
    names = "".join(f"      <Category>{escape(c.name)}</Category>\n" for c in card.classes)
    columns = "".join(
        f'      <FieldDefn index="{i}"><Name>{name}</Name><Type>{kind}</Type><Usage>{usage}</Usage>'
        "</FieldDefn>\n"
        for i, (name, kind, usage) in enumerate(_COLUMNS)
    )
    rows = "".join(
        f'      <Row index="{c.id}">'
        + "".join(f"<F>{escape(str(value))}</F>" for value in (c.id, c.name, *c.color))
        + "</Row>\n"
        for c in card.classes
    )
    return (
        '<PAMDataset>\n  <PAMRasterBand band="1">\n'
        f"    <CategoryNames>\n{names}    </CategoryNames>\n"
        f'    <GDALRasterAttributeTable tableType="thematic">\n{columns}{rows}'
        "    </GDALRasterAttributeTable>\n  </PAMRasterBand>\n</PAMDataset>\n"
    )


def qgis_style(card: Card) -> str:
    """What QGIS reads beside a layer, in `.qml`: the classes alone.

    A GeoTIFF's color table has a color for every possible label, and QGIS would list them all.
    """
    entries = "".join(
        f'        <paletteEntry value="{c.id}" color="#{bytes(c.color).hex()}" alpha="255" '
        f"label={quoteattr(c.name)}/>\n"
        for c in card.classes
    )
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        '<qgis version="3.22">\n  <pipe>\n'
        '    <rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1">\n'
        f"      <colorPalette>\n{entries}      </colorPalette>\n"
        "    </rasterrenderer>\n  </pipe>\n</qgis>\n"
    )


@contextlib.contextmanager
def _plain(
    path: Path, raster: Raster, dtype: str, nodata: float, tags: dict[str, str], bands: int = 1
) -> Iterator[tuple[Path, Any]]:
    """A folder and an open file in it, with the raster's georeference, from which the COG is made."""
    import rasterio
    from rasterio.errors import RasterioError

    profile = plain_profile(raster.width, raster.height, dtype)
    profile.update(nodata=nodata, count=bands, photometric="minisblack")
    points, points_crs = raster.gcps
    if points and not raster.lost():
        profile.update(gcps=points, crs=points_crs)
    else:
        profile.update(crs=raster.crs, transform=raster.transform)
    if raster.rpcs is not None and not raster.lost():
        profile["rpcs"] = raster.rpcs
    try:
        with part_of(path, folder=True) as folder, create(folder / "0.tif", **profile) as file:
            file.update_tags(**tags)
            yield folder, file
    except (RasterioError, rasterio._err.CPLE_BaseError, OSError) as error:  # noqa: SLF001 - no other name
        text = " ".join(str(error.__cause__ or error).split())
        raise ArtifactError(f"the map cannot be written ({text[:300]}): is the disk full?") from error


def _to_cog(work: str | Path, path: Path, **options: str) -> None:
    import rasterio.shutil

    rasterio.shutil.copy(
        work, path, driver="COG", blocksize=BLOCK, compress="deflate", num_threads="all_cpus",
        bigtiff="if_safer", **options,
    )  # fmt: skip
