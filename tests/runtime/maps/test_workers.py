"""A map that several processes label has the bytes of one that a single process makes."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from fcn_edge_runtime.errors import FcnEdgeError, UsageError
from fcn_edge_runtime.maps.label_raster import label_raster
from fcn_edge_runtime.model.file import ModelFile
from tests.runtime.maps.labeled_scene import MODEL, labeled_scene, options
from tests.runtime.maps.rasters import ARTIFACTS, RGB, write_raster


@pytest.fixture
def scene(tmp_path, monkeypatch):
    return labeled_scene(tmp_path, monkeypatch)


def children():
    """Process ids of the workers, by what runs in them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(parent) == os.getpid() and b"spawn_main" in command:
                found.append(int(entry.name))
    return found


def test_workers_make_the_same_bytes(scene, tmp_path):
    out = tmp_path / "map.tif"
    result = label_raster(scene, MODEL, out, options(workers=2, preview=True))
    assert out.read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert result.resumed == 0


def test_a_killed_worker_is_named_and_the_map_goes_on(scene, tmp_path):
    out = tmp_path / "map.tif"

    def kill():
        while not children():
            time.sleep(0.01)
        os.kill(children()[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(FcnEdgeError, match=r"worker process was killed.*goes on"):
        label_raster(scene, MODEL, out, options(workers=2))
    killer.join()
    assert not out.exists()
    label_raster(scene, MODEL, out, options(workers=2))
    assert out.read_bytes() == (tmp_path / "whole.tif").read_bytes()


@pytest.mark.parametrize(
    "given", [{"workers": 0}, {"workers": 2, "approximate": 64}, {"ray": "local", "approximate": 9}]
)
def test_workers_that_do_not_fit_are_refused(tmp_path, given):
    write_raster(tmp_path / "a.tif", RGB, 50, 60)
    with pytest.raises(UsageError):
        label_raster(tmp_path / "a.tif", MODEL, tmp_path / "map.tif", options(**given))


@pytest.mark.parametrize("workers", [None, 1])
def test_dark_data_of_16_bits_is_reported_by_workers_too(tmp_path, workers):
    model = ARTIFACTS / "0.1.0-uint16.onnx"
    with ModelFile.open(model) as opened:
        spec = opened.card.input
    bands = np.full((spec.channels, 50, 60), 900, np.uint16)
    write_raster(tmp_path / "a.tif", spec, 50, 60, bands=bands)
    with pytest.warns(UserWarning, match="holds numbers up to 900 in its first tile"):
        label_raster(tmp_path / "a.tif", model, tmp_path / "map.tif", options(workers=workers))


@pytest.mark.parametrize("more", [{"workers": 2}, {"ray": "local"}])
def test_an_approximate_map_is_made_by_one_process(tmp_path, more):
    write_raster(tmp_path / "a.tif", RGB, 50, 60)
    with pytest.raises(UsageError, match="made by one process"):
        label_raster(tmp_path / "a.tif", MODEL, tmp_path / "map.tif", options(approximate=8, **more))
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
