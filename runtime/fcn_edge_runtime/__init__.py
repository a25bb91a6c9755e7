"""Run fcn-edge models with numpy and onnxruntime, and nothing else.

    from fcn_edge_runtime import Segmenter

    segment = Segmenter("road.onnx")
    labels = segment(frame).labels      # frame: (H, W, 3) uint8 RGB; labels: (H, W) uint8

Importing this loads neither: a name is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from fcn_edge_runtime.errors import (
    FcnEdgeError,
    InputError,
    ModelError,
    ProviderError,
    UsageError,
    VerificationError,
)

if TYPE_CHECKING:
    from fcn_edge_runtime.model.card import Card
    from fcn_edge_runtime.segmentation import Segmentation
    from fcn_edge_runtime.segmenter import Segmenter

__all__ = [
    "Card",
    "FcnEdgeError",
    "InputError",
    "ModelError",
    "ProviderError",
    "Segmentation",
    "Segmenter",
    "UsageError",
    "VerificationError",
]

_HOMES = {"Card": "model.card", "Segmentation": "segmentation", "Segmenter": "segmenter"}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
