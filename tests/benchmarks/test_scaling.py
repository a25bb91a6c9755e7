"""`make bench-scaling`: exponents, the page, and what is measured without the network."""

import json

import pytest

from benchmarks.guard.wheels import ROOT
from benchmarks.scaling.__main__ import main
from benchmarks.scaling.axes import AXES, Extent
from benchmarks.scaling.curves import Axis, Curve
from benchmarks.scaling.folders import measure
from benchmarks.scaling.networks import write_network
from benchmarks.scaling.page import amount
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.trusted_session import selftest

MODEL = ROOT / "tests" / "artifacts" / "0.1.0-float.onnx"
X = (10, 100, 1000)


def curve(*y):
    return Curve("a frame", "s", X, y)


@pytest.mark.parametrize(
    ("found", "exponent", "at_the_end", "named"),
    [
        (curve(1, 10, 100), 1, 1, False),
        (curve(1, 100, 10_000), 2, 2, True),
        (curve(10, 10, 200), 0.65, 1.3, True),  # quadratic behind a fixed cost
        (curve(5, 5, 5), 0, 0, False),
    ],
)
def test_growth_beyond_the_input_is_named(found, exponent, at_the_end, named):
    assert found.exponent == pytest.approx(exponent, abs=0.01)
    assert found.at_the_end == pytest.approx(at_the_end, abs=0.01)
    assert found.super_linear is named


def test_a_network_of_300_classes_is_a_sound_file(tmp_path):
    path = write_network(tmp_path / "many.onnx", 300)
    with Segmenter(path, "cpu", threads=1) as segmenter:
        assert len(segmenter.card.classes) == 300
    assert selftest(path, "cpu").passed


def test_a_manifest_grows_with_the_images_of_a_folder(tmp_path):
    few, many = (measure("shard", count, MODEL, tmp_path) for count in (20, 200))
    assert few.file_bytes * 5 < many.file_bytes < few.file_bytes * 15
    assert few.seconds > 0
    assert few.peak_bytes > 1_000_000


def test_one_command_writes_the_page_and_the_numbers(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Extent, "quick", classmethod(lambda _: Extent(batches=(1, 2), seconds=0)))
    assert main([str(MODEL), "-o", str(tmp_path), "--quick", "--only", "batch"]) == 0
    shown = capsys.readouterr().out
    assert "a call, processor" in shown
    assert "super-linear, an exponent above 1.15: " in shown
    (axis,) = json.loads((tmp_path / "scaling.json").read_text())["axes"]
    assert [found["x"] for found in axis["curves"]] == [[1, 2]] * 3
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


def test_an_axis_that_fails_does_not_end_the_others(tmp_path, capsys, monkeypatch):
    def fail(_):
        raise ModelError("no memory")

    monkeypatch.setitem(AXES, "batch", fail)
    monkeypatch.setitem(AXES, "classes", lambda _: Axis("classes", "", (curve(1, 2, 3),)))
    assert main([str(MODEL), "-o", str(tmp_path), "--only", "batch", "--only", "classes"]) == 0
    shown = capsys.readouterr().out
    assert "not measured: no memory" in shown
    assert "10 to 1,000" in shown


def test_a_damaged_model_is_refused_before_it_is_measured(tmp_path, capsys):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(MODEL.read_bytes()[:-1])
    assert main([str(broken), "-o", str(tmp_path)]) == 1
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.0032, "s", "3.2 ms"), (12, "s", "12 s"), (4.1e7, "B", "41 MB"), (500, "B", "0.5 kB")],
)
def test_amounts_have_fitting_units(value, unit, text):
    assert amount(value, unit) == text
