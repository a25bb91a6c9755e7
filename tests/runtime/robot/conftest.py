from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.runtime.conftest import model_path
from tests.runtime.robot.make_corridor_bag import corridor_frames

__all__ = ["frames", "model", "model_path", "pipeline", "robot"]


@pytest.fixture(scope="session")
def model(model_path):
    """A fast model with labels and confidence, of three classes."""
    return model_path("rgb")


@pytest.fixture(scope="session")
def frames():
    """Five different corridor frames, (240, 320, 3) uint8 RGB."""
    return corridor_frames(5, (240, 320))


@pytest.fixture(scope="session")
def pipeline(model):
    from fcn_edge_runtime.robot.model import open_model
    from fcn_edge_runtime.robot.pipeline import Pipeline

    with open_model(str(model), "cpu", 1) as segmenter:
        yield Pipeline(segmenter)


@pytest.fixture
def no_rosbags(tmp_path):
    """Environment variables for a process that cannot import rosbags."""
    folder = tmp_path / "without"
    folder.mkdir()
    (folder / "rosbags.py").write_text("raise ModuleNotFoundError('No module named rosbags', name='rosbags')")
    search = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": search}


@pytest.fixture
def robot(tmp_path):
    """Run `fcn-edge robot ...` in a separate process, in an empty folder."""

    def run(*arguments, **options):
        command = [sys.executable, "-m", "fcn_edge", "robot", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, **options)

    return run
