"""Where results go: full, forbidden and shared places, interrupted commands, and readers that go away."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fcn_edge_runtime.model.file import ModelFile
from tests.faults.conftest import parts


def _bag(name):
    options = ("-q", "--image-topic", "/camera/image_raw", "-o", f"{{out}}/{name}")
    return ("robot", "bag", "{work}/in.mcap", "--model", "{work}/model.onnx", *options)


# A command, and the files it writes into the folder given as {out}.
WRITERS = {
    "run": ("run", "{work}/model.onnx", "{work}/frames", "-o", "{out}", "-q", "--overwrite"),
    "evaluate": (
        "evaluate",
        "{work}/model.onnx",
        "--images",
        "{work}/frames",
        "--labels",
        "{work}/labels",
        "-o",
        "{out}",
        "-q",
    ),
    "bag": _bag("out.mcap"),
    "bag.db3": _bag("out.db3"),
    "quantize": (
        "quantize",
        "{work}/parent.onnx",
        "--calibration",
        "{work}/frames",
        "--method",
        "minmax",
        "--allow-slower",
        "-q",
        "-o",
        "{out}/out.onnx",
    ),
}
OLD = {
    "run": ("0.labels.png", "0.overlay.png", "0.json"),
    "evaluate": ("evaluation.json", "confusion.png", "worst.png"),
    "quantize": ("out.onnx", "out.verification.json"),
}


def arguments(name, work, out):
    return [part.format(work=work, out=out) for part in WRITERS[name]]


def old_files(name, out):
    out.mkdir(exist_ok=True)
    for file in OLD.get(name, ()):
        (out / file).write_bytes(b"old")


def check_refused(name, done, out):
    """One line, exit code 1, the old files untouched, nothing half written."""
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "cannot be written" in done.stderr or "cannot write to" in done.stderr
    left = {path.name: path.read_bytes() for path in out.iterdir() if path.name != "filler"}
    assert left == dict.fromkeys(OLD.get(name, ()), b"old")


@pytest.mark.security("disk full", "one line, exit 1, old files untouched")
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_line_and_leaves_the_old_files(name, work, full_disk, fcn_edge):
    folder, fill = full_disk
    out = folder / "out"
    old_files(name, out)
    fill()
    done = fcn_edge(*arguments(name, work, out))
    check_refused(name, done, out)
    assert "No space left on device" in done.stderr or "full" in done.stderr


# The temporary files of quantize meet the limit, too.
@pytest.mark.security("limit on file size", "one line, exit 1, old files untouched")
@pytest.mark.parametrize("name", [name for name in WRITERS if name != "quantize"])
def test_a_limit_on_the_size_of_files_leaves_the_old_ones_whole(name, work, fcn_edge, tmp_path):
    out = tmp_path / "out"
    old_files(name, out)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    done = fcn_edge(*arguments(name, work, out), preexec_fn=limit)
    check_refused(name, done, out)


@pytest.mark.security("an output path that cannot be written", "found before the work")
@pytest.mark.parametrize("name", WRITERS)
def test_an_unwritable_place_is_found_before_the_work_starts(name, work, fcn_edge, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for out in ("/proc/nothing", tmp_path / "file" / "below"):
        line = arguments(name, work, out)
        if name not in {
            "run",
            "quantize",
        }:  # these find it after the model was opened, before the first frame
            line = [part.replace("model.onnx", "no-such-model.onnx") for part in line]
        done = fcn_edge(*line)
        assert done.returncode == 1, done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert str(out) in done.stderr
        assert "no-such-model" not in done.stderr


@pytest.mark.security("an output path that cannot be written", "found before the work")
def test_an_export_finds_out_before_weights_are_fetched(fcn_edge):
    line = (
        "export",
        "fcn_tiny",
        "--weights",
        f"http://127.0.0.1:9/net.pth#sha256={64 * '0'}",
        "--classes",
        "3",
        "-o",
    )
    for place, reason in (
        ("/proc/nothing.onnx", "cannot write to /proc"),
        ("gone/a.onnx", "the folder gone does not exist"),
    ):
        done = fcn_edge(*line, place)
        assert done.returncode == 1
        assert reason in done.stderr


@pytest.mark.security("an output path that cannot be written", "found before the work")
def test_a_read_only_folder_is_found_before_the_work_starts(work, fcn_edge, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    read_only = ["mount", "-t", "tmpfs", "-o", "ro,size=16k", "tmpfs", str(out)]
    mounted = os.geteuid() == 0 and subprocess.run(read_only, capture_output=True).returncode == 0
    out.chmod(0o500) if not mounted else None
    if not mounted and os.geteuid() == 0:
        pytest.skip("root may write everywhere, and nothing can be mounted here")
    try:
        for name in WRITERS:
            done = fcn_edge(*arguments(name, work, out))
            assert done.returncode == 1
            assert "Read-only file system" in done.stderr or "Permission denied" in done.stderr
            assert done.stderr.count("\n") == 1
    finally:
        subprocess.run(["umount", str(out)], check=True) if mounted else out.chmod(0o700)


PUBLISHER = """
import hashlib, sys
from pathlib import Path
from fcn_edge_export.artifact import OutputFile
target = OutputFile.at(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    data = f"{sys.argv[2]} {number}".encode() * 5000
    with target.draft(data) as draft:
        target.publish(draft, {"model_sha256": hashlib.sha256(data).hexdigest()})
"""


@pytest.mark.security("several exporters, one path", "one wins whole, with its own report")
def test_of_many_exports_to_one_path_one_wins_whole(tmp_path):
    path = tmp_path / "net.onnx"
    command = [sys.executable, "-c", PUBLISHER, str(path)]
    for attempt in range(3):
        with_input = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        processes = [subprocess.Popen([*command, f"{attempt}{i}", "40"], **with_input) for i in range(3)]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            process.communicate()
            assert process.returncode == 0
        report = json.loads(path.with_suffix(".verification.json").read_text())
        assert report["model_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.onnx", "net.verification.json"]


@pytest.mark.security("several exporters, one path", "one wins whole, with its own report")
def test_two_commands_on_one_path_leave_one_whole_model(work, start, tmp_path):
    out = tmp_path / "out.onnx"
    line = (
        "quantize",
        work / "parent.onnx",
        "--calibration",
        work / "frames",
        "-o",
        out,
        "--allow-slower",
        "-q",
    )
    both = [start(*line, "--method", method, cwd=tmp_path) for method in ("minmax", "percentile")]
    for process in both:
        _, shown = process.communicate(timeout=120)
        assert process.returncode == 0, shown
    with ModelFile.open(out) as model:
        report = json.loads(out.with_suffix(".verification.json").read_text())
        assert report["model_sha256"] == model.digest
    assert parts(tmp_path) == []


@pytest.mark.security("Ctrl-C", "130, one line, nothing half written")
@pytest.mark.parametrize("name", ["bag", "evaluate"])
def test_ctrl_c_ends_with_130_and_nothing_half_written(name, work, start, tmp_path):
    from tests.export.parents import blocks
    from tests.runtime.robot.make_corridor_bag import write_bag

    if name == "bag":
        write_bag(tmp_path / "in.mcap", [blocks(192, 256, seed=i) for i in range(600)])
    else:
        for folder in ("frames", "labels"):
            shutil.copytree(work / folder, tmp_path / folder)
            for number in range(8, 2000):
                os.link(tmp_path / folder / "0.png", tmp_path / folder / f"{number}.png")
    shutil.copy(work / "model.onnx", tmp_path)
    out = tmp_path / "out"
    process = start(*arguments(name, tmp_path, out), cwd=tmp_path, start_new_session=True)
    # Work has begun where the folder is: it is the last thing made before.
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (parts(out) if name == "bag" else out.exists()):
        assert process.poll() is None
        time.sleep(0.005)
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    _, shown = process.communicate(timeout=60)
    assert process.returncode == 130
    assert shown.strip() == "error: interrupted"
    assert list(out.iterdir()) == []


TALKERS = {
    "help": ("--help",),
    "nets": ("nets",),
    "nets as json": ("nets", "--json"),
    "inspect": ("inspect", "{work}/model.onnx"),
    "inspect as json": ("inspect", "{work}/model.onnx", "--json"),
    "doctor as json": ("doctor", "--json"),
    "selftest as json": ("selftest", "{work}/model.onnx", "--json"),
    "run as json": ("run", "{work}/model.onnx", "{work}/frames", "-o", "out", "-q", "--json"),
}


@pytest.mark.security("stdout closed by its reader", "quiet, exit 1")
@pytest.mark.parametrize("name", TALKERS)
def test_a_reader_that_has_gone_is_not_an_error(name, work, start, tmp_path):
    process = start(*(part.format(work=work) for part in TALKERS[name]), cwd=tmp_path)
    process.stdout.close()
    shown = process.stderr.read()
    assert process.wait(60) == 1
    assert shown == ""
    if name.startswith("run"):
        assert len(list((tmp_path / "out").iterdir())) == 24


@pytest.mark.security("stdout full", "one line, exit 1")
def test_a_result_without_room_is_an_error_in_one_line(work, tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        command = [sys.executable, "-m", "fcn_edge", "inspect", str(work / "model.onnx"), "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the result cannot be written to stdout (No space left on device)")
    assert done.stderr.count("\n") == 1
