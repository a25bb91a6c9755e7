"""The map's files: Cloud Optimized GeoTIFFs, and the names of the classes beside the labels."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from fcn_edge_runtime._files import part_of
from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.imaging.areas import color_table
from fcn_edge_runtime.maps.blocks import require_blocks
from fcn_edge_runtime.maps.labeled import NO_PROBABILITY, PROBABLE
from fcn_edge_runtime.maps.overviews import Overviews, create, plain_profile, window_of
from fcn_edge_runtime.maps.raster import Raster
from fcn_edge_runtime.maps.sizing import BLOCK
from fcn_edge_runtime.maps.tiles import Tile
from fcn_edge_runtime.model.card import Card

__all__ = ["MapFile", "class_names", "confidence_file", "labels_file", "probabilities_file", "qgis_style"]

# GDAL's numbers for types and usages of columns.
_COLUMNS = (("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8))


@dataclass(frozen=True, eq=False)
class MapFile:
    """A file of a map while tiles are added to it, in any order; `finish` makes the COG of it.

    What is added goes to a plain GeoTIFF first, since the blocks of a COG lie in an order.
    """

    _path: Path
    _plain: Any
    _smaller: Overviews | None = None

    def add(self, tile: Tile, values: np.ndarray) -> None:
        """Add a tile's values, (h, w) or (bands, h, w).

        Raises:
            ArtifactError: the disk is full or fails; so do all that follow.
        """
        with _writing():
            self._plain.write(
                values if values.ndim > 2 else values[None], window=window_of(*tile.core)
            )  # fmt: skip
            if self._smaller is not None:
                self._smaller.add(tile, values)

    def finish(self) -> None:
        """Write the part that was named; all tiles have been added."""
        with _writing():
            self._plain.close()
            require_blocks(Path(self._plain.name))
            if self._smaller is None:
                _to_cog(self._plain.name, self._path, overview_resampling="average")
            else:
                _to_cog(self._smaller.joined(Path(self._plain.name)), self._path)


@contextlib.contextmanager
def labels_file(
    path: Path, raster: Raster, card: Card, tags: dict[str, str], core: tuple[int, int]
) -> Iterator[MapFile]:
    """Labels: overviews have the most frequent class.

    Args:
        path: the part of the map that `finish` writes.
        raster: what is labeled.
        card: of the model.
        tags: texts to keep in the file.
        core: rows and columns of a tile.

    Raises:
        ArtifactError: the disk is full or fails.
    """
    colors = {label: (*map(int, color), 255) for label, color in enumerate(color_table(card))}
    colors[card.unlabeled] = (0, 0, 0, 0)
    size, nothing = (raster.height, raster.width), card.unlabeled
    with contextlib.ExitStack() as stack:
        with _writing():
            folder, file = stack.enter_context(_plain(path, raster, card.label_dtype, nothing, tags))
            if card.label_dtype == "uint8":
                file.write_colormap(1, colors)
            file.set_band_description(1, "class")
            smaller = stack.enter_context(Overviews.at(folder, size, card.label_dtype, nothing, core))
        yield MapFile(path, file, smaller)


@contextlib.contextmanager
def confidence_file(path: Path, raster: Raster, tags: dict[str, str]) -> Iterator[MapFile]:
    """The winners' probabilities, float32, NaN where there is no data; else as `labels_file`."""
    with contextlib.ExitStack() as stack:
        with _writing():
            _, file = stack.enter_context(_plain(path, raster, "float32", float("nan"), tags))
            file.set_band_description(1, "confidence")
        yield MapFile(path, file)


@contextlib.contextmanager
def probabilities_file(path: Path, raster: Raster, card: Card, tags: dict[str, str]) -> Iterator[MapFile]:
    """The probabilities of all classes, a band each: uint8 with a scale in the file, 255 is no data."""
    from rasterio.enums import ColorInterp

    bands = len(card.classes)
    with contextlib.ExitStack() as stack:
        with _writing():
            _, file = stack.enter_context(_plain(path, raster, "uint8", NO_PROBABILITY, tags, bands))
            file.colorinterp = (ColorInterp.gray,) * bands
            file.descriptions = tuple(c.name for c in card.classes)
            file.scales = (1 / PROBABLE,) * bands
        yield MapFile(path, file)


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
    profile = plain_profile(raster.width, raster.height, dtype)
    profile.update(nodata=nodata, count=bands, photometric="minisblack")
    points, points_crs = raster.gcps
    if points and not raster.lost():
        profile.update(gcps=points, crs=points_crs)
    else:
        profile.update(crs=raster.crs, transform=raster.transform)
    if raster.rpcs is not None and not raster.lost():
        profile["rpcs"] = raster.rpcs
    with part_of(path, folder=True) as folder, create(folder / "0.tif", **profile) as file:
        file.update_tags(**tags)
        yield folder, file


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    """GDAL's errors in this block, and what it ignores, as ArtifactError."""
    import rasterio
    from rasterio.errors import RasterioError

    try:
        yield
    except (RasterioError, rasterio._err.CPLE_BaseError, OSError) as error:  # noqa: SLF001 - no other name
        text = " ".join(str(error.__cause__ or error).split())
        raise ArtifactError(f"the map cannot be written ({text[:300]}): is the disk full?") from error


def _to_cog(work: str | Path, path: Path, **options: str) -> None:
    import rasterio.shutil

    # Of labels, deflate at level 6 takes twice the time of level 5 for a file that is 4 % smaller.
    rasterio.shutil.copy(
        work, path, driver="COG", blocksize=BLOCK, compress="deflate", level=5, num_threads="all_cpus",
        bigtiff="if_safer", **options,
    )  # fmt: skip
    require_blocks(path)
