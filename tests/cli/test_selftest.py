from __future__ import annotations

import json

import pytest


def test_a_healthy_model_passes_and_the_device_is_shown(fcn_edge, model_path):
    done = fcn_edge("selftest", model_path("rgb"))
    assert done.returncode == 0, done.stderr
    assert "2x64x96: " in done.stdout
    assert "self-test passed on cpu (CPUExecutionProvider; auto: " in done.stdout


def test_json_is_one_object(fcn_edge, model_path):
    done = fcn_edge("selftest", model_path("rgb"), "--device", "cpu", "--json")
    report = json.loads(done.stdout)
    assert (report["passed"], report["blind"], report["device"]) == (True, False, "cpu")
    assert done.stderr == ""


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_failure_names_the_pixel_and_exits_with_3(fcn_edge, model_path, options):
    done = fcn_edge("selftest", model_path("elsewhere_wrong"), *options)
    assert done.returncode == 3
    assert "image 1, row 20, column 30" in done.stderr
    assert done.stderr.count("\n") == 1
    if options:
        assert json.loads(done.stdout)["cases"][0]["worst"]["y"] == 20


def test_a_device_that_is_not_there_exits_with_4(fcn_edge, model_path):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("CUDA is in this build")
    done = fcn_edge("selftest", model_path("rgb"), "--device", "cuda")
    assert done.returncode == 4
    assert "pip install 'fcn-edge[cuda]'" in done.stderr
