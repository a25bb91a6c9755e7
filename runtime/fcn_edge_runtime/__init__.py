"""Run fcn-edge models with numpy and onnxruntime, and nothing else.

    from fcn_edge_runtime import Segmenter

    segmenter = Segmenter("road.onnx")
    labels = segmenter(frame).labels  # frame: (H, W, 3) uint8 RGB; labels: (H, W) uint8

This is the public interface of the runtime alone; `fcn_edge` offers the same names and more. Importing it
loads neither numpy nor onnxruntime: each name is imported when it is first used.
"""

import os
from typing import TYPE_CHECKING

from fcn_edge_runtime._lazy import lazy_face

if TYPE_CHECKING:
    from fcn_edge_runtime.errors import (
        FcnEdgeError,
        InputError,
        ModelError,
        ProfileError,
        ProviderError,
        UsageError,
        VerificationError,
    )
    from fcn_edge_runtime.model.card import Card
    from fcn_edge_runtime.segmentation import Segmentation
    from fcn_edge_runtime.segmenter import Segmenter
    from fcn_edge_runtime.session.profile import Profile
    from fcn_edge_runtime.session.session import SessionOptions

__all__ = [
    "Card",
    "FcnEdgeError",
    "InputError",
    "ModelError",
    "Profile",
    "ProfileError",
    "ProviderError",
    "Segmentation",
    "Segmenter",
    "SessionOptions",
    "UsageError",
    "VerificationError",
]

# From 1.29 on, onnxruntime's wheels for Linux keep a device id and a queue of events under ~/.cache and send
# them to Microsoft, unless this is set before they are imported. Set here, it reaches whatever imports
# onnxruntime first: a session, onnxruntime's quantizer, torch.onnx, onnxsim, or a process of its own.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_ERRORS = tuple(name for name in __all__ if name.endswith("Error"))
_HOMES = {
    "errors": _ERRORS,
    "model.card": ("Card",),
    "segmentation": ("Segmentation",),
    "segmenter": ("Segmenter",),
    "session.profile": ("Profile",),
    "session.session": ("SessionOptions",),
}

__getattr__, __dir__ = lazy_face(
    __name__, {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}
)
