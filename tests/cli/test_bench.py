from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.session.profile import Host, Profile, ProfileOptions

QUICK = ("--device", "cpu", "--threads", 2, "--seconds", 0.2)


def test_two_models_are_measured_and_compared(fcn_edge, model_path, photos):
    done = fcn_edge("bench", model_path("plain"), model_path("gray"), *QUICK, "--images", photos)
    assert done.returncode == 0, done.stderr
    assert "plain.onnx" in done.stdout
    for row in ("cold start, ms", "over bare onnxruntime", "p99", "peak memory, MB", "added by spinning"):
        assert row in done.stdout
    assert "gray.onnx takes" in done.stdout
    assert "1 image of 48x64" in done.stdout
    assert "deadlines" not in done.stdout
    for phase in ("frames", "start", "spinning", "overhead", "operators"):
        assert f"\n{phase} " in f"\n{done.stderr}"


def test_a_camera_run_is_reported_as_json_and_as_a_plot(fcn_edge, model_path, tmp_path):
    options = ("--device", "cpu", "--threads", 1, "--seconds", 0.2, "--size", "30x40", "--rate", 100)
    done = fcn_edge("bench", model_path("plain"), *options, "--json", "-q", "--plot", "out/bench.png")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["schema"] == "fcn-edge-bench/1"
    model = found["models"][0]
    assert model["size"] == [30, 40]
    assert set(model["profile"]["shares"]) == {"before", "network", "head"}
    assert model["cold"]["ratio"]["rounds"] >= 3
    assert model["spinning"] is None  # one thread never waits for another
    paced = model["paced"]
    assert paced["offered"] == paced["dropped"] + model["latency"]["frames"]
    assert paced["missed"] == paced["dropped"] + paced["late"]
    assert min(Image.open(tmp_path / "out" / "bench.png").size) > 300
    assert all(line.startswith(("warning: ", "wrote ")) for line in done.stderr.splitlines())


def test_each_model_runs_with_its_own_profile(fcn_edge, model_path, tmp_path):
    with ModelFile.open(model_path("gray")) as model:
        Profile("gray", model.digest, Host.here(), ProfileOptions("cpu", 1, spinning=True)).save(
            tmp_path / "p.json"
        )
    models = (model_path("plain"), model_path("gray"))
    options = ("--profile", "p.json", "--seconds", 0.1, "--size", "30x40")
    done = fcn_edge("bench", *models, *options, "--json", "-q")
    assert done.returncode == 0, done.stderr
    plain, gray = json.loads(done.stdout)["models"]
    assert (plain["tuned"], gray["tuned"], gray["threads"], gray["spinning"]) == (False, True, 1, None)
    done = fcn_edge("bench", models[0], *options)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the profile is for the model 'gray'")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["none.onnx"], 1, "there is no model file none.onnx"),
        (["broken.onnx"], 1, "broken.onnx is not sealed"),
        ([], 2, "MODEL.onnx"),
        (["GOOD", "--size", "480"], 2, "expected HEIGHTxWIDTH such as 480x640"),
        (["GOOD", "--size", "0x5"], 2, "expected HEIGHTxWIDTH"),
        (["GOOD", "--size", "10x10"], 1, "expected at least 40 each way"),
        (["GOOD", "--size", "90000x90000"], 2, "expected at most"),
        (["GOOD", "--images", "empty"], 1, "no images in empty"),
        (["GOOD", "--images", "nowhere"], 1, "there is no image or folder nowhere"),
        (["GOOD", "--rate", "0"], 2, "'--rate'"),
        (["GOOD", "--seconds", "-1"], 2, "'--seconds'"),
        (["GOOD", "--device", "abacus"], 2, "there is no device 'abacus'"),
        (["GOOD", "--plot", "bench.jpg"], 2, "expected a name that ends in .png"),
    ],
)
def test_errors_are_one_line_before_anything_is_measured(fcn_edge, model_path, tmp_path, args, code, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.onnx").write_bytes(b"no model, but more than a seal's worth of bytes" * 9)
    done = fcn_edge("bench", *[model_path("large") if arg == "GOOD" else arg for arg in args])
    assert done.returncode == code
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_a_numpy_head_and_a_fixed_size_are_measured(fcn_edge, tmp_path):
    path = Path(__file__).parents[1] / "artifacts" / "0.1.0-int8.onnx"
    with ModelFile.open(path) as model:
        chosen = ProfileOptions("cpu", 1, head="numpy", size=(30, 40))
        Profile("int8", model.digest, Host.here(), chosen).save(tmp_path / "p.json")
    options = ("--profile", "p.json", "--seconds", 0.1, "--json", "-q")
    done = fcn_edge("bench", path, *options, "--size", "30x40")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["models"]
    assert found["overhead"]["size"] == [30, 40]
    assert [o["operator"] for o in found["profile"]["operators"]].count("numpy") == 1
    assert 0 < found["profile"]["stages"]["head"] < found["profile"]["run_ms"]
    done = fcn_edge("bench", path, *options, "--size", "48x64")
    assert done.returncode == 1
    assert "expected one of 30x40" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_limits_are_a_row_for_each_stage(fcn_edge, model_path):
    path = str(model_path("rgb"))
    done = fcn_edge("bench", path, path, "--limits", "--size", "48x64", "--seconds", "0.1", "--threads", "1")
    assert done.returncode == 0, done.stderr
    for row in ("network  ", "call  ", "whole frame  "):
        assert done.stdout.count(f"\n{row}") == 2
    assert "billion products in float" in done.stdout


def test_the_limits_are_measured_on_computed_frames_alone(fcn_edge, model_path):
    done = fcn_edge("bench", str(model_path("rgb")), "--limits", "--sweep", "--rate", "5")
    assert done.returncode == 2
    assert "--limits measures computed frames alone: leave out --rate, --sweep" in done.stderr
