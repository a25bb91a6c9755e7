"""Whatever a user gives in place of what was meant, the answer is one line and a documented exit code."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from PIL import Image

import fcn_edge.cli as frame

BAD_NAME = os.fsdecode(b"n\xff\xe4me")
LONG = "x" * 5000


@pytest.fixture
def place(tmp_path, monkeypatch, model_path):
    """A folder of what users mix up, which is the current one."""
    shutil.copy(model_path("rgb"), tmp_path / "m.onnx")
    for name in ("dir", "photos", "labels"):
        (tmp_path / name).mkdir()
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "photos" / "a.png")
    contents = {
        "empty": b"",
        "empty.onnx": b"",
        "empty.toml": b"",
        "text.png": b"hello",
        "binary.toml": b"\xff\xfe\x00",
        "deep.json": b"[" * 100_000,
        "endless.json": b'{"classes": 1e400}',
        "broken.json": b"{",
        "syntax.py": b"def build(:\n",
        "raises.py": b"def build():\n    raise ValueError('a\\nb')\n",
        "leaves.py": b"def build():\n    raise SystemExit(0)\n",
        "mine.py": b"from torch import nn\ndef build():\n    return nn.Conv2d(3, 2, 1)\n",
        "nothing.py": b"def build():\n    return None\n",
        "binary.py": b"\x00\xff\xfe",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FCN_EDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path


EXPORT = ("-o", "x.onnx", "--weights", "random")
QUANTIZE = ("quantize", "m.onnx", "-o", "y.onnx", "--calibration")
RUN = ("run", "m.onnx", "photos", "-o", "out")
CASES = [
    (1, ("inspect", "nowhere.onnx")),
    (1, ("inspect", "dir")),
    (1, ("inspect", "/dev/null")),
    (2, ("inspect", "")),
    (1, ("inspect", LONG)),
    (1, ("inspect", BAD_NAME)),
    (1, ("selftest", "empty.onnx")),
    (1, ("selftest", "text.png")),
    (2, ("selftest", "m.onnx", "--device", "warp")),
    (2, ("selftest", "m.onnx", "--device", "")),
    (4, ("selftest", "m.onnx", "--device", "coreml")),
    (1, ("run", "m.onnx", "nowhere.png", "-o", "out")),
    (1, ("run", "m.onnx", "dir", "-o", "out")),
    (1, ("run", "m.onnx", "text.png", "-o", "out")),
    (1, ("run", "m.onnx", "[", "-o", "out")),
    (1, ("run", "m.onnx", LONG, "-o", "out")),
    (1, ("run", "m.onnx", BAD_NAME, "-o", "out")),
    (1, ("run", "m.onnx", "photos", "-o", "m.onnx")),
    (1, ("run", "m.onnx", "photos", "-o", "m.onnx/out")),
    (1, ("run", "m.onnx", "photos", "-o", LONG)),
    (1, (*RUN, "--max-pixels", "1")),
    (2, (*RUN, "--max-pixels", "many")),
    (2, (*RUN, "--threads", "99999999999999999999")),
    (2, (*RUN, "--save", "nothing")),
    (2, (*RUN, "--save", "")),
    (2, (*RUN, "--effect", "tint", "--class", "nobody", "--color", "#ff0000")),
    (2, (*RUN, "--effect", "tint", "--class", "class 1", "--color", "zz")),
    (1, (*RUN, "--effect", "replace-background", "--class", "class 1", "--background", "dir")),
    (1, ("evaluate", "m.onnx", "--images", "photos", "--labels", "nowhere")),
    (1, ("evaluate", "m.onnx", "--images", "photos", "--labels", "labels")),
    (1, ("evaluate", "m.onnx", "--images", "photos", "--labels", "photos")),
    (1, ("evaluate", "m.onnx", "--images", "nowhere", "--labels", "labels")),
    (1, (*QUANTIZE, "nowhere")),
    (1, (*QUANTIZE, "dir")),
    (1, (*QUANTIZE, "text.png")),
    (2, (*QUANTIZE, "photos", "--agreement", "nan")),
    (1, ("plan", "nowhere.onnx", "--rate", "1", "--images", "photos")),
    (1, ("plan", "m.onnx", "--rate", "1", "--images", "nowhere")),
    (1, ("plan", "m.onnx", "--rate", "1", "--images", "photos", "--labels", "labels")),
    (1, ("plan", "m.onnx", "--rate", "1", "--images", "photos", "-o", "m.onnx")),
    (2, ("plan", "m.onnx", "--rate", "1", "--images", "photos", "--suffix", "_mask")),
    (2, ("plan", "m.onnx", "--images", "photos")),
    (2, (*QUANTIZE, "photos", "--labels", "labels")),
    (2, ("export", "nobody", *EXPORT)),
    (2, ("export", "", *EXPORT)),
    (2, ("export", "mine.py:build", *EXPORT)),
    (2, ("export", "mine.py:build", *EXPORT, "--normalize", "caffe")),
    (2, ("export", "mine.py:build", *EXPORT, "--normalize", "1,2/0.5")),
    (2, ("export", "mine.py:build", *EXPORT, "--normalize", "0.5/0")),
    (2, ("export", "mine.py:build", *EXPORT, "--normalize", "nan/1")),
    (2, ("export", "mine.py:build", *EXPORT, "--normalize", "9" * 5000 + "/1")),
    (2, ("export", "syntax.py:build", *EXPORT)),
    (2, ("export", "raises.py:build", *EXPORT, "--normalize", "0-1")),
    (2, ("export", "leaves.py:build", *EXPORT, "--normalize", "0-1")),
    (2, ("export", "nothing.py:build", *EXPORT, "--normalize", "0-1")),
    (2, ("export", "binary.py:build", *EXPORT)),
    (2, ("export", "nowhere.py:build", *EXPORT)),
    (2, ("export", f"{BAD_NAME}.py:build", *EXPORT)),
    (1, ("export", "fcn_tiny", "-o", "x.txt", "--weights", "random")),
    (1, ("export", "fcn_tiny", "-o", "nowhere/x.onnx", "--weights", "random")),
    (1, ("export", "fcn_tiny", "-o", "x.onnx", "--weights", "dir")),
    (1, ("export", "fcn_tiny", "-o", "x.onnx", "--weights", LONG)),
    (1, ("export", "fcn_tiny", "-o", "x.onnx", "--weights", "empty")),
    (1, ("export", "fcn_tiny", "-o", "x.onnx", "--weights", BAD_NAME)),
    (2, ("export", "fcn_tiny", "-o", "x.onnx", "--weights", "http://[::1")),
    (2, ("export", "fcn_tiny", "-o", "x.onnx", "--weights", f"random:{'9' * 5000}")),
    (2, ("export", "fcn_tiny", *EXPORT, "--classes", "0")),
    (2, ("export", "fcn_tiny", *EXPORT, "--classes", "9" * 5000)),
    (2, ("export", "fcn_tiny", *EXPORT, "--classes", "dir")),
    (2, ("export", "fcn_tiny", *EXPORT, "--classes", LONG)),
    (2, ("export", "fcn_tiny", *EXPORT, "--classes", "deep.json")),
    (2, ("export", "fcn_tiny", *EXPORT, "--classes", "endless.json")),
    (2, ("export", "fcn_tiny", *EXPORT, "--classes", "broken.json")),
    (2, ("export", "fcn_tiny", *EXPORT, "--classes", "empty.toml")),
    (2, ("export", "fcn_tiny", *EXPORT, "--card", "binary.toml")),
    (2, ("export", "fcn_tiny", *EXPORT, "--card", LONG)),
    (2, ("export", "fcn_tiny", *EXPORT, "--set", "width=99999999999999999999")),
    (2, ("export", "fcn_tiny", *EXPORT, "--set", f"width={'9' * 5000}")),
    (2, ("export", "fcn_tiny", *EXPORT, "--set", "width")),
    (2, ("export", "fcn_tiny", *EXPORT, "--sizes", "999999x999999")),
    (2, ("export", "fcn_tiny", *EXPORT, "--outputs", "")),
    (1, ("export", "fcn_tiny", *EXPORT, "--images", "text.png")),
    (1, ("verify", "empty.onnx", "fcn_tiny", "--weights", "random", "--reseal")),
    (1, ("verify", "nowhere.onnx", "fcn_tiny", "--weights", "random")),
    (1, ("robot", "bag", "nowhere")),
    (1, ("robot", "bag", "text.png", "--model", "m.onnx", "--image-topic", "/a", "-o", "o")),
    (1, ("robot", "bag", "dir", "--model", "m.onnx", "--image-topic", "/a", "-o", "o")),
    (1, ("robot", "camera", "text.png", "--model", "m.onnx")),
    (1, ("robot", "camera", "nowhere.mp4", "--model", "m.onnx")),
]


def spelled(arguments):
    return (
        " ".join(a if len(a) < 30 else f"{a[:8]}..." for a in arguments).encode("ascii", "replace").decode()
    )


@pytest.mark.security("any mistake on the command line", "one line, a documented exit code")
@pytest.mark.parametrize(("code", "arguments"), CASES, ids=[spelled(arguments) for _, arguments in CASES])
def test_a_mistake_is_one_error_line_and_a_documented_exit_code(place, capfd, code, arguments):
    before = sorted(place.rglob("*.onnx"))
    with pytest.raises(SystemExit) as caught:
        frame.main(arguments)
    shown = capfd.readouterr().err
    assert caught.value.code == code, shown
    assert shown.count("error: ") == 1
    assert shown.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in shown
    assert sorted(place.rglob("*.onnx")) == before
