"""Standard streams that are closed, as by `>&-`, cron or pythonw: the work is done all the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

CLOSED = ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"]


@pytest.fixture
def shell(tmp_path):
    def run(words, closed):
        line = f'"{sys.executable}" -m fcn_edge {words} {closed}'
        return subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=120)

    return run


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize("quiet", ["", "-q"], ids=["progress", "quiet"])
def test_pictures_are_segmented_whatever_is_closed(shell, tmp_path, photos, model_path, closed, quiet):
    done = shell(f"run {model_path('rgb')} {photos} -o out {quiet}", closed)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "a.labels.png").read_bytes().startswith(b"\x89PNG")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", CLOSED)
def test_errors_keep_their_exit_code_whatever_is_closed(shell, closed):
    assert shell("run nowhere.onnx x.png -o out", closed).returncode == 1
    assert shell("run --nothing", closed).returncode == 2
    assert shell("--help", closed).returncode == 0
    assert shell("robot doctor", closed).returncode == 0
    assert shell("robot bag nowhere.mcap", closed).returncode == 1
    assert shell("robot camera nowhere.mp4 --model m.onnx", closed).returncode == 1


def test_without_streams_as_in_pythonw_a_command_ends_well(tmp_path, model_path):
    code = "import sys; sys.stdout = sys.stderr = sys.stdin = None; from fcn_edge.cli import main; main()"
    words = ("selftest", model_path("rgb"))
    assert subprocess.run([sys.executable, "-c", code, *map(str, words)], cwd=tmp_path).returncode == 0
