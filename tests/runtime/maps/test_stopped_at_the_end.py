"""A map that is stopped after its last tile, while its files are written."""

from __future__ import annotations

import pytest

from fcn_edge_runtime.maps.label_raster import label_raster
from fcn_edge_runtime.progress import Progress
from tests.runtime.maps.labeled_scene import MODEL, labeled_scene, options


class _StoppedAt(Progress):
    """Ctrl-C where a stage begins."""

    def __init__(self, stage):
        self._stage = stage

    def start(self, stage, *_):
        if stage == self._stage:
            raise KeyboardInterrupt


@pytest.fixture
def scene(tmp_path, monkeypatch):
    return labeled_scene(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("stage", "how"),
    [
        ("write", {}),
        ("polygons", {"workers": 2}),
        ("preview", {"approximate": 32}),
    ],
)
def test_a_map_stopped_after_its_last_tile_goes_on(scene, tmp_path, stage, how):
    wanted = options(polygons=tmp_path / "out.geojson", preview=True, **how)
    with pytest.raises(KeyboardInterrupt):
        label_raster(scene, MODEL, tmp_path / "out.tif", wanted, _StoppedAt(stage))
    assert not (tmp_path / "out.tif").exists()
    result = label_raster(scene, MODEL, tmp_path / "out.tif", wanted)
    assert result.resumed == 25
    if result.exact:
        assert (tmp_path / "out.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert (tmp_path / "out.geojson").exists()
