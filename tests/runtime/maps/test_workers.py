"""A map that several processes label has the bytes of one that a single process makes."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from fcn_edge_runtime.errors import FcnEdgeError, UsageError
from fcn_edge_runtime.maps import label_raster as module
from fcn_edge_runtime.maps.label_raster import MapOptions, label_raster
from tests.runtime.maps.rasters import ARTIFACTS, RGB, write_raster

MODEL = ARTIFACTS / "0.1.0-sparse.onnx"


def options(**changed):
    return MapOptions(**{"preview": False, "device": "cpu", "threads": 1, **changed})


@pytest.fixture
def scene(tmp_path, monkeypatch):
    write_raster(tmp_path / "scene.tif", RGB, 560, 640, tiled=True)
    monkeypatch.setattr(module, "core_for", lambda *_: (128, 128))
    label_raster(tmp_path / "scene.tif", MODEL, tmp_path / "whole.tif", options())
    return tmp_path / "scene.tif"


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
