"""The comparison with other engines: a failing one is a row with its reason, the others are measured."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from benchmarks.comparison.chart import draw
from benchmarks.comparison.contract import Materials, winners
from benchmarks.comparison.driver import run_size
from benchmarks.comparison.results import EngineComparison, compare, verdict
from benchmarks.comparison.roster import ROSTER, Contender
from benchmarks.comparison.rounds import take_rounds
from benchmarks.comparison.table import Occasion, as_json, as_markdown
from benchmarks.comparison.workers import ROOT, EngineProcess, WorkerError

OCCASION = Occasion("corridor", "2026-11-25", "a processor (avx2)", 2, 2, 0.1)
PLAIN = Contender("plain export", "plain", "fp32", None)


@pytest.fixture
def materials(tmp_path):
    """Frames, and a network of one 1x1 convolution that labels red, green and blue."""
    height, width = 6, 8
    frames = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), np.uint8)
    np.save(tmp_path / "frames.npy", frames)
    np.save(tmp_path / "reference.npy", frames.argmax(3).astype(np.uint8))
    weights = helper.make_tensor("w", TensorProto.FLOAT, [3, 3, 1, 1], np.eye(3, dtype=np.float32).ravel())
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w"], ["logits"])],
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, height, width])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3, height, width])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "plain.onnx")
    same = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    made = Materials(tmp_path, tmp_path, height, width, 1, "net", {}, 3, **same)
    made.save()
    return made


def test_materials_come_back_from_their_file(materials):
    assert Materials.load(materials.save()) == materials


def test_a_running_maximum_equals_argmax_at_ties_too():
    scores = np.random.default_rng(1).integers(0, 4, (7, 30, 40)).astype(np.float32)
    assert np.array_equal(winners(scores), scores.argmax(0))


def test_a_failing_engine_is_a_row_with_its_reason(materials, tmp_path):
    absent = Contender("absent", "openvino", "fp32", "no-such-environment")
    broken = Contender("broken", "no_such_engine", "fp32", None)
    refusing = Contender("ncnn", "ncnn", "int8", None)
    found = run_size(materials, (absent, broken, PLAIN, refusing), tmp_path, seconds=0)
    by_name = {row.name: row for row in found.rows}
    assert [row.name for row in found.rows] == ["absent", "broken", "plain export", "ncnn"]
    assert "make bench-engines" in by_name["absent"].how
    assert "ModuleNotFoundError" in by_name["broken"].how
    assert "ncnn2int8" in by_name["ncnn"].how
    assert by_name["plain export"].agreement == 1
    assert by_name["plain export"].milliseconds > 0
    assert by_name["plain export"].faster.median == 1
    text = as_markdown(OCCASION, [found])
    assert "| broken | fp32 | - | - | - | not timed: ModuleNotFoundError" in text


def test_a_crash_is_reported_with_its_signal(materials, tmp_path):
    with EngineProcess(
        Path(sys.executable), "plain", "fp32", materials.save(), 1, tmp_path / "log"
    ) as worker:
        worker.ready(120)
        os.kill(worker._process.pid, signal.SIGSEGV)  # a real crash needs a real process
        with pytest.raises(WorkerError, match="SIGSEGV"):
            worker.ask({"time": 1}, 60)


def test_a_worker_that_does_not_answer_is_ended(materials, tmp_path):
    with (
        EngineProcess(Path(sys.executable), "plain", "fp32", materials.save(), 1, tmp_path / "log") as worker,
        pytest.raises(WorkerError, match="no answer within 0 s"),
    ):
        worker.ready(0)


def test_an_engine_that_drops_out_does_not_end_the_others():
    calls = []

    def steady(frames):
        calls.append(frames)
        return [0.1] * frames

    def failing(_frames):
        if len(calls) > 2:
            raise WorkerError("gone")
        return [0.2]

    rounds = take_rounds({"a": steady, "b": failing}, 0, WorkerError)
    assert rounds.failed == {"b": "gone"}
    assert len(rounds.seconds["a"]) == 5
    assert calls[1] == 4  # as many frames as fit into a turn


def test_a_very_slow_engine_is_left_out_after_some_rounds():
    rounds = take_rounds({"slow": lambda _n: [5.0], "quick": lambda n: [0.001] * n}, 0.05, WorkerError)
    assert np.isfinite(rounds.seconds["slow"]).sum() == 5
    assert len(rounds.seconds["quick"]) > 5


def _found(mnn_share: float) -> EngineComparison:
    contenders = [
        PLAIN,
        Contender("PyTorch", "pytorch", "fp32", None),
        Contender("MNN", "mnn", "int8", None),
        Contender("fcn-edge", "ours", "int8", None),
        Contender("ncnn", "ncnn", "int8", None),
    ]
    times = {"plain": [0.4, 0.8], "pytorch": [0.2, 0.4], "mnn": [0.05, 0.1], "ours": [0.1, 0.2]}
    return compare(
        "480x640",
        contenders,
        {c.slug: np.array(times[c.engine]) for c in contenders[:4]},
        {c.slug: mnn_share if c.engine == "mnn" else 1.0 for c in contenders[:4]},
        {c.slug: ("so", {"numpy": "2"}) for c in contenders[:4]},
        {contenders[4].slug: "no converter"},
    )


def test_ratios_are_taken_within_rounds():
    rows = {row.name: row for row in _found(1.0).rows}
    assert rows["fcn-edge"].faster.median == pytest.approx(4)  # 2 or 8 if rounds were mixed
    assert rows["fcn-edge"].milliseconds == pytest.approx(150)
    assert rows["ncnn"].milliseconds is None


def test_the_aims_name_the_fastest_other_engines():
    aims = verdict(_found(0.9))
    assert (aims.ours, aims.other, aims.agreeing) == ("fcn-edge int8", "MNN int8", "PyTorch fp32")
    assert aims.than_other.median == pytest.approx(0.5)
    assert aims.than_agreeing.median == pytest.approx(2)
    assert (aims.fastest, aims.fastest_than_other.median) == ("fcn-edge int8", pytest.approx(0.5))


def test_the_table_shows_times_ratios_labels_and_reasons():
    text = as_markdown(OCCASION, [_found(0.9)])
    assert "| fcn-edge | int8 | 150.0 | 4.00 (4.00-4.00) | 100.00 % | so |" in text
    assert "| ncnn | int8 | - | - | - | not timed: no converter |" in text
    assert "Compared with the fastest other that keeps 99.5 % of the labels, PyTorch fp32: 2.00" in text
    assert "compared with plain export: 4.00 (4.00-4.00) times as fast (the aim, 3.5, is reached)" in text
    assert "MNN int8: 0.50 (0.50-0.50) times as fast (the aim, 1.15, is not reached)" in text


def test_json_holds_every_round_and_no_nan():
    found = _found(1.0)
    data = json.loads(as_json(OCCASION, [found]), parse_constant=pytest.fail)
    assert data["sizes"][0]["seconds"]["fcn-edge int8"] == [0.1, 0.2]
    assert data["sizes"][0]["verdict"]["other"] == "MNN int8"


def test_the_chart_is_a_png():
    assert draw(OCCASION, [_found(0.9), _found(1.0)]).startswith(b"\x89PNG")


def test_every_row_has_a_slug_and_a_pinned_environment():
    assert len({c.slug for c in ROSTER}) == len(ROSTER)
    pins = ROOT / "benchmarks" / "comparison" / "environments"
    for name in {c.environment for c in ROSTER} - {None}:
        assert (pins / f"{name}.txt").exists()
        assert (pins / f"{name}.constraints.txt").exists()


@pytest.mark.slow
def test_one_command_compares_plain_export_pytorch_and_ours(tmp_path):
    only = [
        f"--only={name}" for name in ("plain", "pytorch:fp32 eager", "ours:fp32", "ours:fp32 sparse head")
    ]
    environments = tmp_path / "environments"
    environments.mkdir()
    (environments / "torch").symlink_to(sys.prefix)  # this environment has all that PyTorch's rows need
    command = [
        sys.executable,
        "-m",
        "benchmarks.comparison",
        "corridor",
        "--size=48x64",
        f"--environments={environments}",
        "--seconds=0",
        "--frames=2",
    ]
    done = subprocess.run(
        [*command, *only, f"--output={tmp_path}"], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "corridor.json").read_text())
    rows = {(row["name"], row["variant"]): row for row in data["sizes"][0]["rows"]}
    assert len(rows) == 4
    for row in rows.values():
        assert row["milliseconds"] > 0
        assert row["agreement"] > 0.999
    assert done.stdout == (tmp_path / "corridor.md").read_text()
    assert (tmp_path / "corridor.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_recipe_is_a_clear_error(tmp_path):
    command = [
        sys.executable,
        "-m",
        "benchmarks.comparison",
        "nosuch",
        "--only=plain",
        f"--output={tmp_path}",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "there is no recipe nosuch" in done.stderr
    assert "Traceback" not in done.stderr
