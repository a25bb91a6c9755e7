"""A map that a Ray cluster labels has the bytes of one that a single machine makes."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import InputError, ModelError, UsageError
from fcn_edge_runtime.maps import cluster
from fcn_edge_runtime.maps.label_raster import label_raster
from fcn_edge_runtime.ray import Labeler
from tests.runtime.maps.labeled_scene import MODEL, labeled_scene, options
from tests.runtime.maps.rasters import RGB, write_raster

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'fcn-edge[ray]'")
pytestmark = pytest.mark.slow


@pytest.fixture
def scene(tmp_path, monkeypatch):
    return labeled_scene(tmp_path, monkeypatch)


@pytest.mark.usefixtures("machines")
def test_actors_make_the_same_bytes_though_one_is_killed(scene, tmp_path, monkeypatch):
    class Mortal(cluster.Opened):
        def do(self, number):
            if number == 3 and not (tmp_path / "killed").exists():
                (tmp_path / "killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().do(number)

    monkeypatch.setattr(cluster, "Opened", Mortal)
    out = tmp_path / "map.tif"
    label_raster(scene, MODEL, out, options(ray="local", workers=3))
    assert (tmp_path / "killed").exists()
    assert out.read_bytes() == (tmp_path / "whole.tif").read_bytes()


@pytest.mark.usefixtures("machines")
def test_an_error_of_an_actor_is_ours(scene, tmp_path, monkeypatch):
    class Failing(cluster.Opened):
        def do(self, _):
            raise InputError("the raster is gone")

    monkeypatch.setattr(cluster, "Opened", Failing)
    with pytest.raises(InputError, match="raster is gone"):
        label_raster(scene, MODEL, tmp_path / "map.tif", options(ray="local", workers=2))
    assert not (tmp_path / "map.tif").exists()


@pytest.mark.usefixtures("machines")
def test_a_data_set_of_images_is_labeled_row_by_row():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (*size, 3), np.uint8) for size in ((40, 50), (33, 70), (40, 50))]
    rows = [{"id": number, "image": image} for number, image in enumerate(images)]
    rows.append({"id": 3, "image": np.zeros((10, 10, 7), np.uint8)})
    data = ray.data.from_items(rows).map_batches(
        Labeler,
        fn_constructor_kwargs={"model": str(MODEL), "device": "cpu"},
        batch_size=2,
        compute=ray.data.ActorPoolStrategy(size=2),
    )
    found = {row["id"]: row for row in data.take_all()}
    with Segmenter(MODEL, "cpu", 1) as segmenter:
        for number, image in enumerate(images):
            assert found[number]["error"] == ""
            assert (found[number]["labels"] == segmenter(image).labels).all()
    assert "(10, 10, 7), expected (H, W, 3)" in found[3]["error"]
    assert found[3]["labels"].size == 0


@pytest.mark.usefixtures("machines")
def test_a_model_that_is_another_one_is_refused():
    with pytest.raises(ModelError, match="another file"):
        Labeler(str(MODEL), digest="0" * 64)


def test_an_address_without_a_cluster_is_one_line(tmp_path, monkeypatch):
    write_raster(tmp_path / "a.tif", RGB, 50, 60)
    if ray.is_initialized():
        ray.shutdown()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(UsageError, match="no Ray cluster answers at"):
        label_raster(tmp_path / "a.tif", MODEL, tmp_path / "map.tif", options(ray="auto"))
