"""Ctrl-C at the worst moments, in real processes: exit code 130, one line, and nothing left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.export.parents import write_frames, write_parent

# Presses Ctrl-C a moment after the C++ of a compiled module has begun one of the two steps of its start.
INSIDE = """
import signal, sys
import numpy
STEP, MODULE = sys.argv.pop().split()
def watch(frame, event, arg):
    if event == "c_call" and arg.__name__ == STEP:
        if MODULE in frame.f_back.f_locals["self"].path:
            sys.setprofile(None)
            signal.setitimer(signal.ITIMER_REAL, 0.0005)
signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
sys.setprofile(watch)
"""
COMMAND = "from fcn_edge.cli import main\nmain(sys.argv[1:])\n"
ONNXRUNTIME, ONNX = "exec_dynamic onnxruntime_pybind11_state", "create_dynamic onnx_cpp2py_export"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("interrupts")
    write_parent(folder / "parent.onnx")
    write_frames(folder, 12)
    return folder


def quantize(out):
    return ["quantize", "parent.onnx", "--calibration", "frames", "-o", str(out), "--allow-slower"]


def run(*arguments, cwd=None):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize("native", [ONNXRUNTIME, ONNX])
def test_ctrl_c_while_compiled_code_starts_stays_ctrl_c(folder, tmp_path, native):
    done = run("-c", INSIDE + COMMAND, *quantize(tmp_path / "o.onnx"), native, cwd=folder)
    assert done.returncode == 130, done.stderr
    assert done.stderr.splitlines()[-1] == "error: interrupted"
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_loads_onnxruntime_gets_its_ctrl_c():
    program = (
        "from fcn_edge_runtime.session.devices import import_onnxruntime\n"
        "try:\n    import_onnxruntime()\nexcept KeyboardInterrupt:\n    print('mine')\n"
    )
    done = run("-c", INSIDE + program, ONNXRUNTIME)
    assert done.stdout == "mine\n", done.stderr


@pytest.mark.security("Ctrl-C", "130, one line, nothing half written")
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "parent.onnx", "frames", "-o", "OUT/o"],
        ["evaluate", "parent.onnx", "--images", "frames", "--labels", "labels", "-o", "OUT/o"],
        quantize("OUT/o.onnx"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_ctrl_c_at_any_moment_ends_with_130_and_no_part_file(folder, tmp_path, arguments):
    program = (
        "import atexit, signal, sys\nfrom fcn_edge.cli import main\n"
        "signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))\n"
        "atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)\n"  # its handlers are gone by then
        "signal.setitimer(signal.ITIMER_REAL, float(sys.argv.pop()))\n"
        "main(sys.argv[1:])\n"
    )
    arguments = [word.replace("OUT", str(tmp_path)) for word in arguments]
    for moment in np.linspace(0.01, 0.55, 5):
        done = run("-c", program, *arguments, str(moment), cwd=folder)
        assert done.returncode in (130, 0), (moment, done.stderr)  # 0: it was done before
        if done.returncode == 130:
            assert done.stderr.splitlines()[-1] == "error: interrupted"
            assert not [path for path in tmp_path.rglob("*") if path.suffix in (".onnx", ".part", ".tmp")]


def test_a_second_ctrl_c_does_not_wait_for_an_import_that_hangs(tmp_path):
    (tmp_path / "net.py").write_text(
        "import time, sys\nprint('importing', file=sys.stderr, flush=True)\ntime.sleep(60)\n"
    )
    command = [
        "-m",
        "fcn_edge",
        "export",
        "./net.py:build",
        "--weights",
        "built",
        "--normalize",
        "0-1",
        "-o",
        "x.onnx",
    ]
    with subprocess.Popen(
        [sys.executable, *command], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr:
            if line == "importing\n":
                break
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


def test_a_background_job_ignores_ctrl_c(folder, tmp_path):
    command = [sys.executable, "-m", "fcn_edge", "run", "parent.onnx", "frames", "-o", str(tmp_path / "o")]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as `nohup` and `&` start it
    try:
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                process.send_signal(signal.SIGINT)
                time.sleep(0.02)
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.returncode == 0
    assert len(list((tmp_path / "o").iterdir())) >= 12


LATE = {
    "at exit": "atexit.register(signal.raise_signal, signal.SIGINT)",
    "threads end": "threading._register_atexit(signal.raise_signal, signal.SIGINT)",
    "a thread runs": "threading.Thread(target=lambda: [time.sleep(1.2), os.kill(os.getpid(), 2)]).start()",
    "an object is freed": (
        "end = (os.kill, os.getpid(), 2)\n"
        "last = type('Last', (), {'__del__': lambda _, end=end: end[0](*end[1:])})()"
    ),
}


@pytest.mark.security("Ctrl-C", "130, one line, nothing half written")
@pytest.mark.parametrize("moment", LATE)
def test_ctrl_c_while_the_interpreter_shuts_down_is_130(moment):
    program = f"import atexit, os, signal, sys, threading, time\n{LATE[moment]}\n"
    done = run("-c", program + COMMAND, "nets")
    assert done.returncode in (130, -signal.SIGINT)  # which shells report as 130, too
    assert "Traceback" not in done.stderr
    assert done.stderr in ("", "error: interrupted\n")
