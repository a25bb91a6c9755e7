"""A folder for each page with what the pages assume: frames, their labels, a model, a bag, a video."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

HELDOUT = ROOT / "models" / "corridor" / "heldout"
CALIBRATION = ROOT / "models" / "corridor" / "calibration"


def environment():
    """That of a user: `fcn-edge` and `python` are this environment's, commands take one thread each."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def road(tmp_path_factory):
    """The corridor model with confidence, as the pages name it, exported once for all test processes."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    path = shared / "docs-road.onnx"
    with (shared / "docs-road.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            command = ["fcn-edge", "export", "corridor", "-q", "--outputs", "labels,confidence"]
            subprocess.run([*command, "-o", str(path)], check=True, env=environment(), timeout=300)
    return path


@pytest.fixture
def folder(tmp_path, road):
    """frames/, labels/, photos/, frame.png, drive.mcap, drive.avi, road.onnx; models/ and tests/."""
    for name in ("models", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(CALIBRATION, tmp_path / "frames", ignore=shutil.ignore_patterns("labels"))
    shutil.copytree(CALIBRATION / "labels", tmp_path / "labels")
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("9000000.png", "9000003.png"):
        shutil.copy(HELDOUT / "images" / name, photos)
    shutil.copy(HELDOUT / "images" / "9000000.png", tmp_path / "frame.png")
    shutil.copy(road, tmp_path / "road.onnx")
    write_bag(tmp_path / "drive.mcap")
    write_video(tmp_path / "drive.avi")
    return tmp_path


def write_bag(path):
    from tests.runtime.robot.make_corridor_bag import corridor_frames
    from tests.runtime.robot.make_corridor_bag import write_bag as write_corridor_bag

    write_corridor_bag(path, corridor_frames(6, (240, 320)))


def write_video(path):
    import cv2

    from tests.runtime.robot.make_corridor_bag import corridor_frames

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (320, 240))
    for frame in corridor_frames(6, (240, 320)):
        writer.write(frame[:, :, ::-1].copy())
    writer.release()
