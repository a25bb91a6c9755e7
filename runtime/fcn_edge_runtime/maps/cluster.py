"""Tiles labeled by a Ray cluster: actors hold the open model and raster, and send labels back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import FcnEdgeError, UsageError
from fcn_edge_runtime.maps.labeling import Add
from fcn_edge_runtime.maps.sharing import Opened, TileJob
from fcn_edge_runtime.maps.tiles import Tile

__all__ = ["LOCAL", "label_on_cluster"]

LOCAL = "local"
_AHEAD = 2  # tiles an actor: one that it labels, and one that waits
_TRIES = 3  # of a tile whose actor is lost


def label_on_cluster(job: TileJob, tiles: Sequence[Tile], add: Add, address: str, count: int | None) -> None:
    """Label tiles by actors; one that is lost is started again, and its tiles are labeled again.

    Args:
        job: the map.
        tiles: to label.
        add: is called with each, in any order, by this thread.
        address: of the cluster: `local` starts one on this machine, `auto` finds the one that runs here.
        count: of actors; None is one for each core of the cluster.

    Raises:
        UsageError: there is no cluster at the address.
        FcnEdgeError: Ray does not start here; an actor failed as `Labeling.one` does, or was lost again and
            again.
    """
    ray = require("ray", "labeling on a cluster", FcnEdgeError)
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, address, count)
    actors = []
    try:
        cores = int(ray.cluster_resources().get("CPU", 1))
        count = min(cores if count is None else count, max(1, len(tiles)))
        kind = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=_TRIES)(Opened)
        actors = [kind.remote(job) for _ in range(count)]
        _share(ray, actors, tiles, add)
    finally:
        for actor in actors:
            ray.kill(actor)
        if ours:
            ray.shutdown()


def _connect(ray: Any, address: str, count: int | None) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "include_dashboard": False}
    try:
        if address == LOCAL:
            ray.init(address="local", num_cpus=count, **options)
        else:
            del options["include_dashboard"]
            ray.init(address=address, **options)
    except Exception as error:  # noqa: BLE001 - Ray raises errors of many classes, all of which mean this
        reason = " ".join(str(error).split())[:200]
        if address == LOCAL:
            raise FcnEdgeError(
                f"Ray does not start on this machine ({reason}): try again, or --workers"
            ) from None
        raise UsageError(
            f"no Ray cluster answers at {address} ({reason}): start one with `ray start --head`, or give "
            "--ray local"
        ) from None


def _share(ray: Any, actors: list[Any], tiles: Sequence[Tile], add: Add) -> None:
    """Give each actor a tile whenever it has returned one."""
    waiting = list(reversed(tiles))
    running: dict[Any, tuple[Any, Tile]] = {}

    def give(actor: Any) -> None:
        if waiting:
            tile = waiting.pop()
            running[actor.label.remote(tile.number)] = actor, tile

    for _ in range(_AHEAD):
        for actor in actors:
            give(actor)
    while running:
        (done,), _ = ray.wait(list(running), num_returns=1)
        actor, tile = running.pop(done)
        try:
            labeled = ray.get(done)
        except ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        except ray.exceptions.RayError as error:
            reason = " ".join(str(error).split())[:300]
            raise FcnEdgeError(f"a worker on the cluster failed ({reason}): try again") from None
        add(tile, labeled)
        give(actor)


def _cause(error: Any) -> Exception:
    """The error of ours inside one of Ray's."""
    return error.cause if isinstance(error.cause, FcnEdgeError) else error
