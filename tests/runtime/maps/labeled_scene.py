"""A raster of many small tiles, and the map of it that one process makes."""

from __future__ import annotations

from fcn_edge_runtime.maps import label_raster as module
from fcn_edge_runtime.maps.label_raster import MapOptions, label_raster
from fcn_edge_runtime.maps.sizing import Plan
from tests.runtime.maps.rasters import ARTIFACTS, RGB, write_raster

__all__ = ["MODEL", "labeled_scene", "options"]

MODEL = ARTIFACTS / "0.1.0-sparse.onnx"


def options(**changed):
    return MapOptions(**{"preview": False, "device": "cpu", "threads": 1, **changed})


def labeled_scene(folder, monkeypatch):
    """Write scene.tif and its map whole.tif; return the path of the scene. Maps have tiles of 128 pixels."""
    write_raster(folder / "scene.tif", RGB, 560, 640, tiled=True)
    monkeypatch.setattr(module, "plan_for", lambda *_: Plan((128, 128), 0))
    label_raster(folder / "scene.tif", MODEL, folder / "whole.tif", options())
    return folder / "scene.tif"
