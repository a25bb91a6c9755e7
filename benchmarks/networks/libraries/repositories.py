"""Networks written as public repositories write them, and single habits of such code, with random weights.

They are those of the tests: how their code computes with the size of an image is what matters here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from tests.export import idioms, public_styles, sized
from tests.export.networks import seeded

__all__ = ["NETWORKS", "VERSIONS"]

VERSIONS = f"torch {torch.__version__}"

_BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "DDRNet": public_styles.DualResolution,
    "STDC": public_styles.ShortTerm,
    "SFNet": public_styles.SemanticFlow,
    "PSPNet of 8 k + 1": public_styles.PyramidOfEightPlusOne,
    "PointRend": public_styles.PointRefined,
    "Segmenter (ViT)": public_styles.PatchSegmenter,
    "U-Net without padding": public_styles.ValidUNet,
    "pooling over the whole map": idioms.PoolsTheWholeMap,
    "max pooling to a grid": idioms.MaxPoolsToAGrid,
    "pooling to a computed size": idioms.PoolsToAComputedSize,
    "int, round, ceil of the size": idioms.CountsWithPython,
    "branches on its own buffers": idioms.DecidesByItsBuffers,
    "channels of coordinates": idioms.Coordinates,
    "positions, bicubic": partial(idioms.Positions, antialias=False),
    "positions, antialiased": partial(idioms.Positions, antialias=True),
    "antialiased resize": idioms.AntialiasedDown,
    "unfold and fold": idioms.Patches,
    "standard deviation": idioms.Deviation,
    "ConvTranspose2d to a size": idioms.TransposedToASize,
    "padding by computed amounts": idioms.PadsByComputedAmounts,
    "group norm": idioms.GroupNormed,
    # With patches of 4 pixels its attention takes 24 GB at 1080x1920, in PyTorch, too.
    "relative positions": partial(idioms.RelativePositions, patch=16),
    "shifted windows": idioms.Windows,
    "windows in stages": idioms.WindowsInStages,
    "sizes as tensors": idioms.SizesAsTensors,
    "values written by masks": idioms.WritesByMasks,
    "a grid kept from the first image": idioms.KeepsItsFirstGrid,
    "a kernel for even sizes alone": idioms.CentersIfEven,
    "ENet": public_styles.Unpooled,
    "CCNet": public_styles.CrissCross,
    "scripted parts": idioms.HasScriptedParts,
    "Fourier transforms": idioms.Fourier,
    "kernels of its own": idioms.KernelsOfItsOwn,
    "positions counted from a half": idioms.CountsFromAHalf,
    "pads below 0": idioms.CropsByNegativePads,
    "positions of rows and of columns": partial(idioms.PositionsOfRowsAndColumns, pool=16),
    "fractions of the size": idioms.CalculatesWithFractions,
    "patches of 14 pixels": partial(sized.PatchesOf14, 8),
}
# Their classes cannot be balanced on an image, as those of the others are.
_PLAIN = (public_styles.PyramidOfEightPlusOne, public_styles.PatchSegmenter)
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    name: build if build in _PLAIN else partial(seeded, build) for name, build in _BUILDERS.items()
}
