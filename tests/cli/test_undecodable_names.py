"""Names that are not UTF-8, such as a latin-1 one off an old disk, are names like any other."""

from __future__ import annotations

import os
import shutil

import pytest

NAME = os.fsdecode(b"mod\xe9l.onnx")
COMMANDS = {
    "selftest": ("selftest", NAME),
    "inspect": ("inspect", NAME),
    "inspect --json": ("inspect", NAME, "--json"),
    "run": ("run", NAME, "photos", "-o", os.fsdecode(b"out\xe9")),
    "bench": ("bench", NAME, "--size", "32x48", "--seconds", "0.1", "-q"),
    "tune": ("tune", NAME, "--size", "32x48", "--budget", "0.5", "-o", "p.json", "-q"),
    "plan": ("plan", NAME, "--rate", "1", "--images", "photos/a.png", "--seconds", "0.1", "-q"),
    "export": (
        "export",
        "fcn_tiny",
        "--weights",
        "random",
        "-o",
        os.fsdecode(b"n\xe9w.onnx"),
        "-q",
        "--json",
    ),
}


@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.sampled(7)  # the last, an export, takes as long as all of them
def test_a_latin_1_name_is_taken(fcn_edge, tmp_path, model_path, words):
    shutil.copy(model_path("rgb"), tmp_path / NAME)
    done = fcn_edge(*words)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
