"""Whether a GeoTIFF is whole.

GDAL writes the last blocks of a file when it closes it, and ignores the errors of a full disk then.
"""

from __future__ import annotations

from pathlib import Path

from fcn_edge_runtime.maps.raster import without_place_warnings

__all__ = ["require_blocks"]


def require_blocks(path: Path) -> None:
    """Check that every block of a GeoTIFF and of its overviews lies inside the file.

    Raises:
        OSError: one does not.
    """
    import rasterio

    size = path.stat().st_size
    with without_place_warnings(), rasterio.open(path) as file:
        levels = [None, *range(len(file.overviews(1)))]
        for level in levels:
            with rasterio.open(path, **({} if level is None else {"overview_level": level})) as layer:
                rows, columns = (
                    -(-side // of) for side, of in zip(layer.shape, layer.block_shapes[0], strict=True)
                )
            for band in file.indexes:
                for block in (f"{x}_{y}" for y in range(rows) for x in range(columns)):
                    begin, length = (
                        int(file.get_tag_item(f"BLOCK_{what}_{block}", "TIFF", bidx=band, ovr=level) or 0)
                        for what in ("OFFSET", "SIZE")
                    )
                    if not length or begin + length > size:
                        raise OSError("a part of it is missing")
