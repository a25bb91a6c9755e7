from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import pytest
from PIL import Image

from fcn_edge.reports.bench_plots import write_plot
from fcn_edge.reports.bench_table import lines
from fcn_edge_runtime.benchmark.operators import profile_model
from fcn_edge_runtime.benchmark.report import BenchmarkOptions
from fcn_edge_runtime.benchmark.run import benchmark
from fcn_edge_runtime.benchmark.stages import stages_of
from fcn_edge_runtime.benchmark.sweep import SweepPoint
from tests.export.parents import blocks, write_parent


@pytest.mark.parametrize("sparse", [False, True])
def test_every_node_of_a_file_belongs_to_the_right_stage(tmp_path, sparse):
    path = write_parent(tmp_path / "a.onnx", sparse=sparse)
    stages = stages_of(path.read_bytes())
    graph = onnx.load(path).graph
    found = {node.name: stages.of(node.name) for node in graph.node}
    for name in ("fcn_edge/planes", "fcn_edge/float", "fcn_edge/scaled"):
        assert found[name] == "before"
    for name in ("stem", "first_relu", "residual", "pool", "classifier"):
        assert found[name] == "network"
    assert found["fcn_edge/labels"] == "head"
    heads = Counter(found.values())["head"]
    if sparse:
        assert "up" not in found
        assert heads > 20
    else:
        # Upsampling belongs to the head, though it is part of the network: the sparse head replaces it.
        assert found["up"] == "head"
        assert heads == 3


def test_names_made_by_onnxruntime_are_traced_back(tmp_path):
    stages = stages_of(write_parent(tmp_path / "a.onnx").read_bytes())
    assert stages.of("fcn_edge/planes_token_3") == "before"
    assert stages.of("sr_nchwc") == "network"
    assert stages.of("logits") == "head"
    assert stages.of("ReorderOutput") == "network"


def test_a_profile_shows_time_in_each_stage(tmp_path):
    path = write_parent(tmp_path / "a.onnx")
    found = profile_model(str(path), "cpu", 1, [blocks(120, 160), np.zeros((64, 64, 3), np.uint8)], seconds=0)
    assert set(found.shares) == {"before", "network", "head"}
    assert min(found.shares.values()) > 0
    stage_of = {node.name: node.stage for node in found.nodes}
    assert {"head", "network"} <= set(stage_of.values())


def test_sizes_are_drawn_in_addition_to_the_other_plots(tmp_path):
    path = write_parent(tmp_path / "a.onnx")
    found = benchmark([str(path)], BenchmarkOptions(size=(48, 64), threads=1, device="cpu", seconds=0.1))
    points = (
        SweepPoint(240, 320, 10.0, 12.0, 80_000_000, 9),
        SweepPoint(480, 640, 40.0, 50.0, None, 9),
        SweepPoint(2160, 3840, skipped="would take about 9.0 GB, 1.0 GB are left"),
    )
    swept = replace(found, models=(replace(found.models[0], name="a $1 $2.onnx", sweep=points),))
    write_plot(tmp_path / "without.png", found)
    write_plot(tmp_path / "with.png", swept)
    heights = [Image.open(tmp_path / name).height for name in ("without.png", "with.png")]
    assert heights[1] > 1.5 * heights[0]
    shown = "\n".join(lines(swept))
    assert "480x640               40.0        50.0       unknown" in shown
    assert "2160x3840   not measured: would take about 9.0 GB" in shown
