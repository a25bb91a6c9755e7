"""How large tiles may be: the larger, the less their margins cost, as far as memory goes.

What a network needs for each pixel is measured: images of growing size are run, and this process' memory is
looked at. The session keeps what it took, so the second image shows what a larger one will take.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fcn_edge_runtime._memory import available_bytes, used_bytes
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.maps.network import TileNetwork

__all__ = ["BLOCK", "Plan", "cache_bytes", "default_memory", "kept_bytes", "plan_for"]

BLOCK = 512  # of the map's file: no two tiles write the same block
_LARGEST = 4096  # beyond it, margins cost little
_SIDES = (256, 512, 1024)
_UNKNOWN = 256.0  # bytes a pixel, where memory cannot be looked at
_SHARE = 0.9  # of the memory is planned: allocators round up
_BESIDES = 96 << 20  # for labels and for what libraries allocate
_CACHE_SHARE = 32  # of the memory, for GDAL's blocks: one part in so many
_KEPT_SHARE = 24  # the same for pixels of windows above
GIB = 1 << 30


def default_memory(processes: int = 1) -> int:
    """Bytes that each process may take: 1 GiB, or half of what is free for all where that is less.

    A program that holds more than half of that already may take as much besides.
    """
    free = available_bytes()
    room = GIB if free is None else min(GIB, free // 2 // processes)
    held = used_bytes() or 0
    return room if held <= room // 2 else held + room


def cache_bytes(memory: int) -> int:
    """What GDAL may keep of the raster's blocks: those in which one window ends and the next begins."""
    return max(16 << 20, memory // _CACHE_SHARE)


def kept_bytes(memory: int) -> int:
    """What may be kept of windows' pixels, so that those below do not decode their margins again."""
    return memory // _KEPT_SHARE


@dataclass(frozen=True)
class Plan:
    """What fits into the memory.

    Attributes:
        core: rows and columns of a tile's core, multiples of a block unless the image is smaller.
        spare: bytes that are left.
    """

    core: tuple[int, int]
    spare: int


def plan_for(network: TileNetwork, height: int, width: int, memory: int) -> Plan:
    """The largest tiles that fit.

    Args:
        network: that will run.
        height: of the image.
        width: of the image.
        memory: bytes that the process may take.

    Raises:
        UsageError: it is too little for the smallest tile.
    """
    each = (
        _bytes_a_pixel(network, memory, max(height, width))
        + 3 * network.card.input.channels * _itemsize(network)
        + 8
        + len(network.card.classes) * network.probabilities
    )
    fixed = (used_bytes() or 0) + _BESIDES + cache_bytes(memory) + kept_bytes(memory)
    around = network.around

    def needed(core: int) -> int:
        rows, columns = (
            min(core + around, side) if network.fixed is None else size
            for side, size in zip((height, width), network.fixed or (0, 0), strict=True)
        )
        kept = 0 if network.overlap is None else 3 * _kept_bytes(network, core + rows, width)
        return int((fixed + rows * columns * each + kept) / _SHARE)

    most = max((core for core in range(BLOCK, _LARGEST + 1, BLOCK) if needed(core) <= memory), default=0)
    if not most:
        raise UsageError(
            f"the memory is {memory >> 20} MiB, expected at least {(needed(BLOCK) >> 20) + 1} MiB: a tile of "
            f"{BLOCK} pixels with {around // 2} around it takes as much"
        )
    if network.fixed is not None:
        most = BLOCK
    core = _even(height, most), _even(width, most)
    return Plan(core, max(0, memory - needed(max(core))))


def _kept_bytes(network: TileNetwork, rows: int, width: int) -> int:
    """What the scores of so many rows of pixels take."""
    return 4 * len(network.card.classes) * (rows // network.step + 1) * (width // network.step + 1)


def _even(length: int, most: int) -> int:
    """The smallest core that gives as few tiles as the largest one does."""
    count = -(-length // most)
    return -(-length // (count * BLOCK)) * BLOCK


def _itemsize(network: TileNetwork) -> int:
    return np.dtype(network.card.input.dtype).itemsize


def _bytes_a_pixel(network: TileNetwork, memory: int, longest: int) -> float:
    """What the network takes for each pixel of a window, of an image with this longest side."""
    found, before = _UNKNOWN, used_bytes()
    if before is None:
        return found
    if network.fixed is not None:
        network.run(np.zeros((*network.fixed, network.card.input.channels), network.card.input.dtype))
        return max(1.0, ((used_bytes() or before) - before) / (network.fixed[0] * network.fixed[1]))
    for wanted in _SIDES:
        side = max(wanted, network.reach.smallest)
        too_much = before + side * side * found > memory * 0.8
        if wanted > _SIDES[0] and (too_much or wanted >= 2 * longest):
            break
        network.run(np.zeros((side, side, network.card.input.channels), network.card.input.dtype))
        found = max(1.0, ((used_bytes() or before) - before) / side**2)
    return found
