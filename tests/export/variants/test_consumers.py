"""Variants in the programs that they are made for; `make consumers` installs those that a registry has."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fcn_edge_export import variant
from fcn_edge_runtime import Segmenter
from tests.consumers import run_consumer
from tests.export.parents import blocks, write_parent

HERE = Path(__file__).parent

pytestmark = pytest.mark.slow


def test_openvinos_model_api_gives_the_same_labels(tmp_path):
    parent = write_parent(tmp_path / "parent.onnx")
    made = variant(parent, tmp_path / "model-api.onnx", "model-api")
    images = {f"i{n}": blocks(h, w, n) for n, (h, w) in enumerate([(240, 320), (241, 323), (97, 64)])}
    np.savez(tmp_path / "images.npz", **images)
    run_consumer(HERE / "with_model_api.py", made.path, tmp_path / "images.npz", tmp_path / "labels.npz")
    found = np.load(tmp_path / "labels.npz")
    assert str(found["kind"]) == "SegmentationModel"
    with Segmenter(parent) as segmenter:
        assert list(found["names"]) == [c.name for c in segmenter.card.classes]
        for name, image in images.items():
            agreement = (found[name] == segmenter(image).labels).mean()
            assert agreement > 0.9999, (name, agreement)  # OpenVINO's own rounding


def test_luxonis_reader_accepts_the_archive(tmp_path):
    parent = write_parent(tmp_path / "parent.onnx")
    made = variant(parent, tmp_path / "parent.tar.xz", "luxonis:48x64")
    found = json.loads(run_consumer(HERE / "with_luxonis.py", made.path))
    assert found["archive"] is True
    [image], [scores] = found["model"]["inputs"], found["model"]["outputs"]
    assert (image["shape"], image["layout"]) == ([1, 3, 48, 64], "NCHW")
    assert image["preprocessing"]["scale"] == [255.0] * 3
    assert scores["shape"] == [1, 3, 48, 64]
    [head] = found["model"]["heads"]
    assert head["parser"] == "SegmentationParser"
    assert head["metadata"]["classes"] == ["class_0", "class_1", "class_2"]
