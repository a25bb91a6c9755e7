"""Every runtime command in an environment without torch and onnx: numpy, onnxruntime, Pillow, click, rich."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.bare.environment import kept

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
MODEL = ARTIFACTS / "0.1.0-float.onnx"
FOREIGN = ("torch", "onnx", "onnxscript", "onnxsim", "safetensors", "matplotlib", "skimage", "rosbags", "cv2")


@pytest.fixture(scope="session")
def bare():
    return kept("cpu,images")


@pytest.fixture
def work(tmp_path):
    """A folder with frames and their labels."""
    random = np.random.default_rng(0)
    for name, shape in (("frames", (60, 80, 3)), ("labels", (60, 80))):
        (tmp_path / name).mkdir()
        for index in range(3):
            pixels = random.integers(0, 5, shape, np.uint8) * (50 if name == "frames" else 1)
            Image.fromarray(pixels).save(tmp_path / name / f"{index}.png")
    return tmp_path


def done(environment, cwd, *words):
    """What a command wrote to stdout; it must have ended well."""
    ended = environment.run(*words, cwd=cwd)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout


def shown(environment, cwd, *words):
    return json.loads(done(environment, cwd, *words, "--json"))


def test_what_only_export_and_extras_need_is_not_there(bare, tmp_path):
    code = f"from importlib.util import find_spec; print([n for n in {FOREIGN} if find_spec(n)])"
    assert bare.run("-c", code, cwd=tmp_path, program="python").stdout == "[]\n"


def test_command_line_and_package_have_one_version(bare, tmp_path):
    version = done(bare, tmp_path, "--version").split()[-1]
    assert version.startswith("0.")
    assert bare.run(
        "-c", "import fcn_edge; print(fcn_edge.__version__)", cwd=tmp_path, program="python"
    ).stdout == (f"{version}\n")


def test_run_writes_labels_overlays_and_numbers(bare, work):
    done(bare, work, "run", MODEL, "frames", "-o", "out", "--save", "labels,overlay,confidence,json")
    for kind in ("labels.png", "overlay.png", "confidence.png", "json"):
        assert {path.name for path in work.glob(f"out/*.{kind}")} == {f"{n}.{kind}" for n in range(3)}
    assert np.asarray(Image.open(work / "out" / "0.labels.png")).shape == (60, 80)


def test_run_changes_pictures(bare, work):
    done(bare, work, "run", MODEL, "frames", "-o", "out", "--effect", "blur-background", "--class", "class_1")
    assert len(list(work.glob("out/*.effect.png"))) == 3


@pytest.mark.parametrize("artifact", sorted(ARTIFACTS.glob("*.onnx")), ids=lambda path: path.stem)
def test_every_kept_artifact_passes_its_selftest(bare, tmp_path, artifact):
    assert shown(bare, tmp_path, "selftest", artifact)["passed"] is True


def test_inspect_shows_the_card(bare, tmp_path):
    assert len(shown(bare, tmp_path, "inspect", MODEL)["card"]["classes"]) == 5
    assert "class_4" in done(bare, tmp_path, "inspect", MODEL)


def test_doctor_starts_the_cpu_and_names_what_is_missing(bare, tmp_path):
    found = done(bare, tmp_path, "doctor")
    assert "torch           not installed" in found
    assert "device cpu      starts" in found


def test_evaluate_compares_with_labels(bare, work):
    counted = shown(bare, work, "evaluate", MODEL, "--images", "frames", "--labels", "labels")
    assert 0 <= counted["mean_iou"] <= 1


@pytest.mark.slow
def test_bench_measures(bare, tmp_path):
    words = ("bench", MODEL, "--size", "64x96", "--seconds", "0.2", "--threads", 1)
    assert "frames timed" in done(bare, tmp_path, *words)
    assert shown(bare, tmp_path, *words)["models"][0]["latency"]


def test_tune_writes_a_profile_that_run_takes(bare, work):
    done(bare, work, "tune", MODEL, "--size", "64x96", "--budget", 1, "-o", "profile.json")
    done(bare, work, "run", MODEL, "frames", "-o", "out", "--profile", "profile.json")
    assert len(list(work.glob("out/*.labels.png"))) == 3


def test_plan_measures_session_options_without_onnx(bare, work):
    planned = shown(bare, work, "plan", MODEL, "--rate", 1, "--images", "frames", "--seconds", 1)
    assert planned["chosen"]["name"] == "as it is"
    assert any("need onnx, which is not installed" in warning for warning in planned["warnings"])


def test_nets_lists_networks_and_recipes(bare, tmp_path):
    listed = shown(bare, tmp_path, "nets")
    assert "fcn_resnet50" in {net["name"] for net in listed["networks"]}
    weights = {recipe["name"]: recipe["weights"] for recipe in listed["recipes"]}
    assert Path(weights["corridor"]).is_file()
    assert weights["corridor-r18"] is None
    assert "(weights not installed: add --weights FILE)" in done(bare, tmp_path, "nets")


def test_robot_doctor_reports_what_is_missing(bare, tmp_path):
    assert "pip install 'fcn-edge[robot]'" in done(bare, tmp_path, "robot", "doctor")


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("robot", "bag", "in.mcap"), "robot"),
        (("robot", "camera", "0", "--model", MODEL), "camera"),
        (("robot", "bridge", "--model", MODEL, "--image-topic", "/camera"), "dds"),
        (("demo",), "export"),
        (("export", "fcn_tiny", "--weights", "random", "-o", "x.onnx"), "export"),
        (("verify", MODEL, "fcn_tiny", "--weights", "random"), "export"),
        (("adopt", MODEL, "--normalize", "0-1", "-o", "x.onnx"), "adopt"),
        (("quantize", MODEL, "--calibration", "frames", "-o", "x.onnx"), "quantize"),
    ],
    ids=lambda part: " ".join(word for word in part[:2] if word != MODEL) if isinstance(part, tuple) else "",
)
def test_a_command_that_needs_more_names_the_extra(bare, work, words, extra):
    ended = bare.run(*words, cwd=work)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert f"pip install 'fcn-edge[{extra}" in ended.stderr
    assert sorted(path.name for path in work.iterdir()) == ["frames", "labels"]


@pytest.mark.slow
def test_quantize_needs_its_own_extra_and_no_torch(work):
    environment = kept("cpu,images,quantize")
    code = "from importlib.util import find_spec; print([n for n in ('torch', 'onnxsim') if find_spec(n)])"
    assert environment.run("-c", code, cwd=work, program="python").stdout == "[]\n"
    allowed = ("--allow-slower", "--agreement", 0.01)
    done(environment, work, "quantize", MODEL, "--calibration", "frames", "-o", "x.onnx", *allowed)
    assert shown(environment, work, "selftest", "x.onnx")["passed"] is True


@pytest.mark.slow
def test_robot_bag_segments_a_bag_with_the_robot_extra(work):
    from tests.runtime.robot.make_corridor_bag import write_bag

    write_bag(work / "in.mcap", [np.asarray(Image.open(path)) for path in sorted(work.glob("frames/*"))])
    words = ("--model", MODEL, "--image-topic", "/camera/image_raw", "-o", "out.mcap")
    done(kept("cpu,images,robot"), work, "robot", "bag", "in.mcap", *words)
    topics = done(kept("cpu,images,robot"), work, "robot", "bag", "out.mcap")
    assert "/segmentation/overlay" in topics
