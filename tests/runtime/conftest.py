from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def model_path(tmp_path_factory):
    """A function from a kind of model to its file. Made with onnx, or taken from FCN_EDGE_TEST_MODELS."""
    folder = tmp_path_factory.mktemp("models")
    ready = os.environ.get("FCN_EDGE_TEST_MODELS")

    def give(kind):
        path = folder / f"{kind}.onnx"
        if not path.exists():
            if ready:
                shutil.copy(Path(ready) / path.name, path)
            else:
                from tests.runtime import make_models

                make_models.build(kind, path)
        return path

    return give


@pytest.fixture(scope="module")
def machines():
    """A Ray cluster of three actors, on this machine."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'fcn-edge[ray]'")
    ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def photo():
    """A picture with structure: (48, 64, 3) uint8."""
    y, x = np.mgrid[:48, :64]
    planes = [4 * x, 5 * y, (x * y) // 12]
    return np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8)
