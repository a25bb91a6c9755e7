"""Tiles labeled by a Ray cluster: actors hold the open model and raster, and send labels back."""

from __future__ import annotations

from collections.abc import Sequence

from fcn_edge_runtime._cluster import done_by_actors
from fcn_edge_runtime.maps.labeling import Add
from fcn_edge_runtime.maps.sharing import Opened, TileJob
from fcn_edge_runtime.maps.tiles import Tile

__all__ = ["label_on_cluster"]


def label_on_cluster(job: TileJob, tiles: Sequence[Tile], add: Add, address: str, count: int | None) -> None:
    """Label tiles by actors; one that is lost is started again, and its tiles are labeled again.

    Args:
        job: the map.
        tiles: to label.
        add: is called with each, in any order, by this thread.
        address: as for `done_by_actors`, as is the count of actors.
        count: see above.

    Raises:
        UsageError: there is no cluster at the address.
        FcnEdgeError: as `done_by_actors` and `Labeling.one` raise it.
    """
    by_number = {tile.number: tile for tile in tiles}
    for number, labeled in done_by_actors(Opened, job, list(by_number), address, count, len(tiles)):
        add(by_number[number], labeled)
