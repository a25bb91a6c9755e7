from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

LINE = r"segment +[0-9.]+ s  2 images"


@pytest.fixture
def on_a_terminal(tmp_path):
    """Run a command line whose stderr is a terminal: exit code, stdout, and what the terminal received."""
    if not hasattr(os, "openpty"):
        pytest.skip("needs a terminal")

    def run(*arguments):
        ours, theirs = os.openpty()
        command = [sys.executable, "-m", "fcn_edge", *map(str, arguments)]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
        done = subprocess.run(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs, timeout=60, env=environment
        )
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        os.close(ours)
        return done.returncode, done.stdout.decode(), shown.decode()

    return run


def _read(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux reports a closed other side this way
        return b""


def test_a_terminal_shows_a_bar_that_leaves_one_line(on_a_terminal, model_path, photos):
    code, out, shown = on_a_terminal("run", model_path("rgb"), photos, "-o", "out", "--recursive")
    assert code == 0
    assert "of 2 images" in shown
    assert "0:00:00" in shown  # the elapsed time
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")  # the cursor is back
    assert re.fullmatch(LINE, shown.rpartition("\x1b[2K")[2].splitlines()[0])
    assert "\x1b" not in out


def test_a_pipe_gets_plain_lines(fcn_edge, model_path, photos):
    done = fcn_edge("run", model_path("rgb"), photos, "-o", "out", "--recursive")
    assert re.fullmatch(LINE, done.stderr.splitlines()[0])
    assert "\x1b" not in done.stderr


def test_quiet_shows_no_progress(on_a_terminal, model_path, photos):
    code, _, shown = on_a_terminal("run", model_path("rgb"), photos, "-o", "out", "-q")
    assert (code, shown) == (0, "")


def test_a_failed_stage_leaves_its_error_alone(on_a_terminal, model_path, photos, tmp_path):
    (tmp_path / "labels").mkdir()
    Image.fromarray(np.eye(48, 64, dtype=np.uint8)).save(tmp_path / "labels" / "a.png")
    (photos / "a.png").write_bytes(b"not a PNG")
    command = ("evaluate", model_path("rgb"), "--images", photos / "a.png", "--labels", "labels")
    code, _, shown = on_a_terminal(*command)
    assert code == 1
    assert "0 of 1 images" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")
    assert shown.rpartition("\x1b[2K")[2].startswith("error: ")


def test_rich_is_loaded_for_a_terminal_alone(model_path, photos, tmp_path):
    script = "import sys; from fcn_edge.cli import cli; cli(sys.argv[1:], standalone_mode=False); "
    script += "print('rich' in sys.modules)"
    command = [sys.executable, "-c", script, "run", str(model_path("rgb")), str(photos), "-o", "out"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout.splitlines()[-1] == "False", done.stderr
