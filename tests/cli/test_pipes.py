"""A pipe in the place of a file never hangs a command: nobody writes to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FLOAT = Path(__file__).parents[1] / "artifacts" / "0.1.0-float.onnx"
BAG = ("robot", "bag", "--model", FLOAT, "-o", "out")


@pytest.mark.security("a pipe in the place of any file", "refused at once")
@pytest.mark.parametrize(
    ("pipe", "command"),
    [
        ("pipe.mcap", (*BAG, "pipe.mcap")),
        ("pipe.db3", (*BAG, "pipe.db3")),
        ("pipe.bag", (*BAG, "pipe.bag")),
        ("their.onnx", ("adopt", "their.onnx", "-o", "x.onnx", "--normalize", "none", "--classes", "3")),
        ("c.json", ("export", "fcn_tiny", "--weights", "random", "-o", "x.onnx", "--card", "c.json")),
        ("hf/config.json", ("export", "hf:hf", "-o", "x.onnx")),
        ("map.tif", ("map", "map.tif", "--model", FLOAT, "-o", "x.tif")),
    ],
)
def test_a_pipe_instead_of_a_file_is_refused_at_once(fcn_edge, tmp_path, pipe, command):
    (tmp_path / pipe).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / pipe)
    done = fcn_edge(*command)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
