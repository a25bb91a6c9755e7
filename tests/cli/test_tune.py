from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fcn_edge.cli import cli
from fcn_edge_runtime.session.profile import Profile


@pytest.fixture(scope="module")
def tuned(model_path, tmp_path_factory):
    """A tuned model: the profile's path, and the finished process."""
    folder = tmp_path_factory.mktemp("tuned")
    out = folder / "p.json"
    command = ["tune", model_path("plain"), "-o", out, "--size", "48x64", "--budget", "1", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "fcn_edge", *map(str, command)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return out, done


def test_every_change_is_a_line_and_the_profile_is_written(tuned):
    out, done = tuned
    *trials, result = done.stdout.splitlines()
    assert any(line.startswith("memory pattern: ") for line in trials)
    assert str(out) in result
    assert "ms" in result
    assert [path.name for path in out.parent.iterdir()] == ["p.json"]
    assert Profile.load(out).notes


def test_run_and_evaluate_use_the_profile_and_report_it(fcn_edge, tuned, model_path, photos, tmp_path):
    profile = tuned[0]
    plain = fcn_edge("run", model_path("plain"), photos, "-o", "plain", "--save", "labels")
    done = fcn_edge("run", model_path("plain"), photos, "-o", "out", "--save", "labels", "--profile", profile)
    assert (plain.returncode, done.returncode) == (0, 0), done.stderr
    assert "ran on cpu (from the profile)" in done.stderr
    labels = [np.asarray(Image.open(tmp_path / name / "a.labels.png")) for name in ("plain", "out")]
    assert (labels[0] == labels[1]).all()
    (tmp_path / "truth").mkdir()
    (tmp_path / "out" / "a.labels.png").rename(tmp_path / "truth" / "a.png")
    scored = fcn_edge(
        *(
            "evaluate",
            model_path("plain"),
            "--images",
            photos / "a.png",
            "--labels",
            "truth",
            "--profile",
            profile,
        )
    )
    assert scored.returncode == 0, scored.stderr
    assert "pixel accuracy       1.0000" in scored.stdout


def test_a_foreign_profile_is_a_one_line_warning_or_error(fcn_edge, tuned, model_path, photos, tmp_path):
    profile = Profile.load(tuned[0])
    replace(profile, host=replace(profile.host, onnxruntime="1.2.3")).save(tmp_path / "old.json")
    done = fcn_edge("run", model_path("plain"), photos, "-o", "out", "-q", "--profile", "old.json")
    assert done.returncode == 0
    assert done.stderr.startswith(
        "warning: the profile is ignored, it was made elsewhere (onnxruntime 1.2.3,"
    )
    assert done.stderr.count("\n") == 1
    done = fcn_edge("run", model_path("rgb"), photos, "-o", "none", "--profile", tuned[0])
    assert done.returncode == 1
    assert done.stderr.startswith("error: the profile is for the model")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_json_is_one_object_and_nothing_else(fcn_edge, model_path, photos):
    done = fcn_edge(
        *("tune", model_path("plain"), "-o", "p.json", "--images", photos, "--budget", "0.5", "--json", "-q"),
        *("--prefer", "cpu", "--max-threads", "1"),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["sizes"] == [[48, 64]]
    assert report["found"]["options"]["threads"] == 1
    assert {"change", "taken", "why", "wall", "cpu"} <= set(report["trials"][0])


@pytest.mark.parametrize(
    ("options", "code", "expected"),
    [
        (("-o", "p.json", "--size", "48"), 2, "expected HEIGHTxWIDTH"),
        (("-o", "p.json", "--prefer", "speed"), 2, "--prefer"),
        (("-o", "p.json", "--device", "gpu"), 2, "there is no device 'gpu'"),
        (("-o", "p.json", "--images", "nowhere"), 1, "there is no image or folder nowhere"),
        (("-o", "."), 1, "is a folder"),
        ((), 2, "Missing option '-o'"),
    ],
)
def test_wrong_usage_is_one_line_and_leaves_no_file(fcn_edge, model_path, tmp_path, options, code, expected):
    done = fcn_edge("tune", model_path("plain"), *options)
    assert done.returncode == code
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "p.json").exists()


def test_the_model_is_never_overwritten(fcn_edge, model_path):
    before = model_path("plain").read_bytes()
    done = fcn_edge("tune", model_path("plain"), "-o", model_path("plain"))
    assert done.returncode == 2
    assert "would overwrite the model" in done.stderr
    assert model_path("plain").read_bytes() == before


def test_interrupting_leaves_the_old_profile_and_nothing_else(model_path, tmp_path):
    (tmp_path / "p.json").write_text("old")
    command = ["tune", model_path("plain"), "-o", tmp_path / "p.json", "--size", "400x400", "--budget", "600"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fcn_edge", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stderr.readline()  # the start is timed: the first trial runs
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "error: interrupted"
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]
    assert (tmp_path / "p.json").read_text() == "old"


@pytest.mark.parametrize("command", ["run", "evaluate", "bench", "robot bag", "robot bridge", "robot camera"])
def test_every_command_that_segments_takes_a_profile(command):
    done = CliRunner().invoke(cli, [*command.split(), "--help"], prog_name="fcn-edge")
    assert "--profile PROFILE.json" in done.output
