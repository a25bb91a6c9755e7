from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fcn_edge_runtime import ProviderError, doctor


def test_started_devices_differ_from_those_only_built_in():
    report = doctor.diagnose()
    states = {state.device: state for state in report.providers}
    assert report.can_run
    assert states["cpu"].starts
    assert all(state.built_in or not state.starts for state in states.values())
    assert all(state.starts or state.why for state in states.values())
    assert report.packages["numpy"]
    assert report.onnxruntime_error == ""
    assert int(report.system["cores"]) >= 1


def test_without_onnxruntime_the_report_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    report = doctor.diagnose()
    assert not report.can_run
    assert "pip install 'fcn-edge[cpu]'" in report.onnxruntime_error
    assert report.providers == ()


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        ("import os; os.abort()", "its trial process ended with signal SIGABRT"),
        ("import sys; sys.exit('no libcudnn')", "ended with exit code 1 (no libcudnn)"),
        ("print()", "trial process failed"),
        ("import time; time.sleep(60)", "its trial process took longer than 1 s"),
    ],
)
def test_a_provider_that_crashes_or_hangs_is_a_line_of_report(child, expected, monkeypatch):
    monkeypatch.setattr(doctor, "_TRIAL", child)
    monkeypatch.setattr(doctor, "START_SECONDS", 1)
    state = doctor.try_provider("CUDAExecutionProvider")
    assert not state.starts
    assert expected in state.why


def test_the_trial_model_is_a_real_onnx_model():
    onnx = pytest.importorskip("onnx")
    onnx.checker.check_model(onnx.load_from_string(doctor.probe_model()), full_check=True)


def test_an_extra_that_is_not_complete_is_named(monkeypatch):
    monkeypatch.setattr(doctor, "_provider_states", lambda _: ())  # takes seconds, and is tested above
    monkeypatch.setitem(doctor.EXTRAS, "images", {"PIL": "pillow", "none": "no-such-package"})
    found = doctor.diagnose().extras
    assert found["images"] == ("no-such-package",)
    assert found["cpu"] == ()


def test_every_extra_that_brings_something_to_run_is_listed():
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(doctor.SHOWN_EXTRAS) == set(project["optional-dependencies"]) - {"dev", "docs", "engines"}


def test_an_extra_is_installed_from_where_fcn_edge_came_from(monkeypatch):
    class Record:
        def __init__(self, text):
            self.text = text

        def read_text(self, _):
            return self.text

    def command(text):
        monkeypatch.setattr(doctor, "distribution", lambda _: Record(text))
        return doctor.install_here("robot").partition(" -m ")[2]

    assert command(None) == "pip install 'fcn-edge[robot]'"
    clone = '{"url": "file:///my%20code/fcn-edge", "dir_info": {"editable": true}}'
    assert command(clone) == "pip install -e '/my code/fcn-edge[robot]'"
    assert command(clone.replace("true", "false")) == "pip install '/my code/fcn-edge[robot]'"


def test_a_provider_that_computes_something_else_does_not_start(monkeypatch):
    right = doctor.probe_model()
    monkeypatch.setattr(doctor, "probe_model", lambda: right.replace(b"\0\0\0\x40", b"\0\0\x40\x40"))
    with pytest.raises(ProviderError, match="wrong numbers"):
        doctor.start_provider("CPUExecutionProvider")
