"""A folder that a Ray cluster labels has the files of one that a single machine labels."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fcn_edge_runtime.ray as module
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.batch import segment_files
from fcn_edge_runtime.image_job import ImageJob
from fcn_edge_runtime.imaging.finding import find_images
from fcn_edge_runtime.ray import runner_on_cluster, segment_on_cluster
from fcn_edge_runtime.shards import Shard, segment_shard

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'fcn-edge[ray]'")
pytestmark = pytest.mark.slow
MODEL = Path(__file__).parents[1] / "artifacts" / "0.1.0-sparse.onnx"
SAVE = ("labels", "overlay", "json")


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(40):
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), np.uint8)).save(
            tmp_path / "photos" / f"{number}.png"
        )
    (tmp_path / "photos" / "17.png").write_bytes(b"no picture")
    return str(tmp_path / "photos")


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.usefixtures("machines")
def test_actors_write_the_same_files_though_one_is_killed(photos, tmp_path, monkeypatch):
    class Mortal(module._Images):
        def do(self, images):
            done = super().do(images)
            if any(file.source.name == "23.png" for file in images) and not (tmp_path / "killed").exists():
                (tmp_path / "killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return done

    monkeypatch.setattr(module, "_Images", Mortal)
    images = find_images([photos])
    with Segmenter(MODEL, "cpu", 1) as segmenter:
        expected = list(segment_files(ImageJob(segmenter, tmp_path / "whole", SAVE), images))
        job = ImageJob(segmenter, tmp_path / "out", SAVE)
        found = segment_on_cluster(job, images, "local", 3, None)
    assert (tmp_path / "killed").exists()
    assert [(r.source, r.error) for r in found] == [(r.source, r.error) for r in expected]
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


@pytest.mark.usefixtures("machines")
def test_actors_do_a_shard_without_a_list(photos, tmp_path):
    with Segmenter(MODEL, "cpu", 1) as segmenter:
        job = ImageJob(segmenter, tmp_path / "out", ("labels",))
        report = segment_shard(job, photos, Shard(), run=runner_on_cluster("local", 2))
        assert (report.done, report.failed) == (39, 1)
        assert segment_shard(job, photos, Shard(), resume=True).skipped == 39


@pytest.mark.usefixtures("photos")
def test_the_command_reports_a_bad_picture_as_on_one_machine(tmp_path):
    found = []
    for out, more in (("one", ()), ("many", ("--ray", "local", "--workers", "2"))):
        command = [sys.executable, "-m", "fcn_edge", "run", str(MODEL), "photos", "-o", out, "--json", *more]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False)
        assert done.returncode == 1
        assert "error: 1 of 40 images failed" in done.stderr
        report = json.loads(done.stdout)
        for image in report["images"]:
            image.pop("milliseconds")
        found.append(json.dumps([report["images"], report["failed"]]).replace(f'"{out}/', '"OUT/'))
    assert found[0] == found[1]
    assert files_of(tmp_path / "one") == files_of(tmp_path / "many")
