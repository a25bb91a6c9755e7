"""How large tiles are: the larger, the less their margins cost, as far as memory goes.

What a network needs for each pixel is measured: images of growing size are run, and this process' memory is
looked at. The session keeps what it took, so the second image shows what a larger one will take.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

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
    """The tiles that fit and have the fewest pixels in their windows.

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

    def spare(down: _Side, right: _Side) -> int:
        kept = 0 if network.overlap is None else _kept_bytes(network, down.core + down.window, width)
        return memory - int((fixed + down.window * right.window * each + 3 * kept) / _SHARE)

    both = list(product(_sides(network, 0, height), _sides(network, 1, width)))
    fitting = [sides for sides in both if spare(*sides) >= 0]
    if not fitting:
        raise UsageError(
            f"the memory is {memory >> 20} MiB, expected at least "
            f"{(memory - max(spare(*sides) for sides in both) >> 20) + 1} MiB: a tile of {BLOCK} pixels with "
            f"{network.around // 2} around it takes as much"
        )
    down, right = min(fitting, key=lambda sides: (sides[0].seen * sides[1].seen, -spare(*sides)))
    return Plan((down.core, right.core), spare(down, right))


@dataclass(frozen=True)
class _Side:
    """A way to cut an axis: pixels of a core, of a window, and of all windows."""

    core: int
    window: int
    seen: int


def _sides(network: TileNetwork, axis: int, length: int) -> list[_Side]:
    """The ways to cut an axis of this length."""
    found = []
    for core in range(BLOCK, _LARGEST + 1, BLOCK):
        count = -(-length // core)
        # Of two tiles, each has one neighbor.
        around = network.around if count > 2 or network.overlap is not None else network.around // 2
        window = min(core + around, length) if network.fixed is None else network.fixed[axis]
        found.append(_Side(core, window, count * window))
        if network.fixed is not None or count == 1:
            break
    return found


def _kept_bytes(network: TileNetwork, rows: int, width: int) -> int:
    """What the scores of so many rows of pixels take."""
    return 4 * len(network.card.classes) * (rows // network.step + 1) * (width // network.step + 1)


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
