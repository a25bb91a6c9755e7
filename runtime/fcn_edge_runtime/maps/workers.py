"""Tiles labeled by several processes of this machine."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from fcn_edge_runtime.errors import FcnEdgeError
from fcn_edge_runtime.maps.labeled import Labeled
from fcn_edge_runtime.maps.labeling import Add
from fcn_edge_runtime.maps.sharing import Opened, TileJob
from fcn_edge_runtime.maps.tiles import Tile

__all__ = ["label_in_processes"]

_AHEAD = 2  # tiles a process: one that it labels, and one that waits
_opened: list[Opened | FcnEdgeError] = []  # of a worker; a pool says nothing of an error at its start


def label_in_processes(job: TileJob, tiles: Sequence[Tile], add: Add, count: int) -> None:
    """Label tiles in processes of their own.

    Args:
        job: the map.
        tiles: to label.
        add: is called with each, in any order, by this thread.
        count: of processes.

    Raises:
        FcnEdgeError: a worker was killed, or failed as `Labeling.one` does.
    """
    context = get_context("spawn")
    with ProcessPoolExecutor(count, context, _open, (job,)) as pool:
        running: dict[Future[Labeled], Tile] = {}
        try:
            for tile in tiles:
                if len(running) >= _AHEAD * count:
                    _collect(running, add)
                running[pool.submit(_label, tile.number)] = tile
            while running:
                _collect(running, add)
        except BrokenProcessPool:
            raise FcnEdgeError(
                "a worker process was killed, for want of memory maybe: the same command goes on where it "
                "was; give it fewer --workers or less --memory"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _collect(running: dict[Future[Labeled], Tile], add: Add) -> None:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        add(running.pop(future), future.result())


def _open(job: TileJob) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that makes the map ends its workers
    try:
        _opened.append(Opened(job))
    except FcnEdgeError as error:
        _opened.append(error)


def _label(number: int) -> Labeled:
    opened = _opened[0]
    if isinstance(opened, FcnEdgeError):
        raise opened
    return opened.do(number)
