from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

import fcn_edge.cli as frame
from fcn_edge_runtime.errors import FcnEdgeError, ModelError, ProviderError, VerificationError

HEAVY = {"torch", "numpy", "onnxruntime", "onnx", "PIL"}


def test_help_lists_every_command_with_its_purpose_and_examples(fcn_edge):
    done = fcn_edge("--help")
    assert done.returncode == 0
    for name in frame.COMMANDS:
        assert f"\n  {name} " in done.stdout
    for text in ("Examples:", "fcn-edge run road.onnx photos/ -o out", "_FCN_EDGE_COMPLETE", "Exit codes"):
        assert text in done.stdout
    assert done.stderr == ""
    assert fcn_edge("-h").stdout == done.stdout


@pytest.mark.parametrize("name", frame.COMMANDS)
def test_every_command_has_help_with_an_example(name):
    done = CliRunner().invoke(frame.cli, [name, "-h"], prog_name="fcn-edge")
    assert done.exit_code == 0, done.output
    assert f"Usage: fcn-edge {name}" in done.output
    assert f"  fcn-edge {name}" in done.output


def test_help_is_quick_and_loads_nothing_heavy():
    code = (
        "import sys\nfrom fcn_edge.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"sys.exit(' '.join({HEAVY!r} & set(sys.modules)) or 0)"
    )
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    after = os.times()
    assert done.returncode == 0, done.stderr
    # Processor time: that on the wall is the same where nothing else runs, and means nothing elsewhere.
    spent = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    print(f"{spent:.3f} s")
    assert spent < 0.4


def test_the_version_is_shown(fcn_edge):
    done = fcn_edge("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("fcn-edge ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("fly",), "No such command 'fly': see `fcn-edge --help`"),
        (("run",), "Missing argument 'MODEL.onnx': see `fcn-edge run --help`"),
        (("run", "m.onnx", "x", "--threads", "0", "-o", "o"), "--threads"),
        (("inspect", "m.onnx", "--fast"), "No such option"),
        (("run", "m.onnx", "x", "-o", ""), "got an empty name, expected a file or a folder"),
        (("run", "m.onnx", "", "-o", "x"), "got an empty name, expected a file or a folder"),
        (
            ("evaluate", "m.onnx", "--images", "", "--labels", "x"),
            "got an empty name, expected a file or a folder",
        ),
        (("robot", "bag", "b", "--out", ""), "got an empty name, expected a file or a folder"),
        (
            ("quantize", "m.onnx", "--calibration", ".", "-o", ""),
            "got an empty name, expected a file or a folder",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(fcn_edge, arguments, expected):
    done = fcn_edge(*arguments)
    assert done.returncode == 2
    assert expected in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def outcome(monkeypatch, capsys, error):
    """Exit code and stderr when a command raises this error."""

    def fail(**_):
        raise error

    monkeypatch.setattr(frame.cli, "main", fail)
    with pytest.raises(SystemExit) as caught:
        frame.main([])
    return caught.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FcnEdgeError("x"), 1),
        (ModelError("x"), 1),
        (VerificationError("x"), 3),
        (ProviderError("x"), 4),
    ],
)
def test_an_error_is_one_line_with_the_exit_code_of_its_class(monkeypatch, capsys, error, code):
    assert outcome(monkeypatch, capsys, error) == (code, "error: x\n")


@pytest.mark.security("control characters from a file", "escaped")
def test_control_characters_from_a_file_are_escaped(monkeypatch, capsys):
    _, shown = outcome(monkeypatch, capsys, ModelError("name \x1b[2J\x07 end"))
    assert shown == "error: name \\x1b[2J\\x07 end\n"


def test_a_bug_of_ours_keeps_its_traceback_and_exits_with_70(monkeypatch, capsys):
    code, shown = outcome(monkeypatch, capsys, ZeroDivisionError("oops"))
    assert code == 70
    assert "Traceback" in shown
    assert "ZeroDivisionError: oops" in shown
    assert "please report" in shown


def test_a_warning_made_an_error_is_one_line(monkeypatch, capsys):
    code, shown = outcome(monkeypatch, capsys, UserWarning("the map has no CRS"))
    assert (code, shown) == (
        1,
        "error: a warning, which is an error here by PYTHONWARNINGS or -W: the map has no CRS\n",
    )


def test_a_library_of_another_extra_is_named_with_the_extra(monkeypatch, capsys):
    monkeypatch.setattr(frame.sys, "version_info", (3, 12, 0))
    code, shown = outcome(monkeypatch, capsys, ModuleNotFoundError("no", name="torch.nn"))
    assert code == 1
    assert (
        shown == "error: this command needs torch, which is not installed: `pip install 'fcn-edge[export]'`\n"
    )
    code, shown = outcome(monkeypatch, capsys, ModuleNotFoundError("no", name="fcn_edge.nothing"))
    assert code == 70


def test_on_an_old_python_export_is_named_as_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(frame.sys, "version_info", (3, 10, 9))
    code, shown = outcome(monkeypatch, capsys, ModuleNotFoundError("no", name="onnx"))
    assert (code, shown.startswith("error: exporting needs Python 3.11")) == (1, True)


def test_an_interrupt_ends_with_130(monkeypatch, capsys):
    assert outcome(monkeypatch, capsys, KeyboardInterrupt()) == (130, "error: interrupted\n")


def test_ctrl_c_ends_a_real_command_with_130_and_one_line(model_path, photos, tmp_path):
    import shutil

    for number in range(300):
        shutil.copy(photos / "a.png", photos / f"{number}.png")
    command = [sys.executable, "-m", "fcn_edge", "run", str(model_path("rgb")), str(photos), "-o", "out"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    out = tmp_path / "out"
    while not (out.is_dir() and any(out.iterdir())):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    _, shown = process.communicate(timeout=30)
    assert process.returncode == 130
    assert shown.strip() == "error: interrupted"
    assert not list(out.glob(".*.part"))


def test_a_reader_that_goes_away_causes_no_traceback(model_path):
    command = f"{sys.executable} -m fcn_edge inspect {model_path('wide')} | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)  # noqa: S602 - a real pipe
    assert done.stdout.startswith("file")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("name", ["stra\u00dfe.onnx", os.fsdecode(b"stra\xffe.onnx")])
def test_a_command_survives_names_that_the_terminal_cannot_show(fcn_edge, name):
    done = fcn_edge("inspect", name, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 1
    assert "there is no model file stra" in done.stderr


def test_completion_is_there(fcn_edge):
    script = fcn_edge(env={**os.environ, "_FCN_EDGE_COMPLETE": "bash_source"})
    assert "complete" in script.stdout
    words = {"COMP_WORDS": "fcn-edge sel", "COMP_CWORD": "1", "_FCN_EDGE_COMPLETE": "bash_complete"}
    assert "selftest" in fcn_edge(env={**os.environ, **words}).stdout
