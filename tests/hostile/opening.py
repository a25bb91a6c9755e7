"""What a user does with a model file. It needs the runtime alone, so that any environment can do it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

DEVICE = os.environ.get("FCN_EDGE_HOSTILE_DEVICE", "cpu")


def open_model(path: Path) -> None:
    """Describe it, segment an image, list the areas, run its self-test."""
    from fcn_edge_runtime import Segmenter
    from fcn_edge_runtime.model.describe import describe
    from fcn_edge_runtime.model.file import ModelFile
    from fcn_edge_runtime.trusted_session import selftest

    with ModelFile.open(path) as model:
        describe(model)
    with Segmenter(path, DEVICE, threads=1) as segmenter:
        spec = segmenter.card.input
        segmenter(np.zeros((64, 64, spec.channels), spec.dtype)).areas()
    selftest(path, DEVICE)


def warm() -> None:
    """Import what that needs."""
    import onnxruntime  # noqa: F401 - for the children

    import fcn_edge_runtime.segmenter  # noqa: F401 - the same
