"""Run by `make test-oldest`, in the folder of the models, on the oldest stack we claim."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from fcn_edge_runtime import Segmenter

MODELS = sorted(Path().glob("*.onnx"))


def test_this_is_the_oldest_stack_we_claim():
    assert sys.version_info[:2] == (3, 10)
    assert np.__version__ == "1.24.4"
    assert onnxruntime.__version__ == "1.18.0"


def test_there_are_models_to_check():
    assert len(MODELS) >= 6


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_the_self_test_passes(path):
    done = subprocess.run(
        [sys.executable, "-m", "fcn_edge", "selftest", str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_labels_are_those_of_the_newest_stack(path):
    arrays = np.load(path.with_suffix(".npz"))
    with Segmenter(path) as segmenter:
        for index in range(len(arrays.files) // 2):
            image, expected = arrays[f"image{index}"], arrays[f"labels{index}"]
            labels = segmenter(image).labels
            assert labels.shape == expected.shape
            assert labels.dtype == expected.dtype
            # Kernels of different releases round differently; near ties may fall either way.
            assert (labels == expected).mean() >= 0.999


def test_a_picture_becomes_a_class_map(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    command = [sys.executable, "-m", "fcn_edge", "run", "plain.onnx", str(tmp_path / "photo.png")]
    done = subprocess.run([*command, "-o", str(tmp_path / "out")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "out" / "photo.labels.png").size == (60, 40)


def test_exporting_says_that_it_needs_a_newer_python():
    command = [sys.executable, "-m", "fcn_edge", "export", "fcn_tiny", "--weights", "random", "-o", "x.onnx"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Python 3.11" in done.stderr
    assert not Path("x.onnx").exists()


def test_the_networks_can_be_listed():
    done = subprocess.run([sys.executable, "-m", "fcn_edge", "nets"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "fcn_resnet50" in done.stdout
