from __future__ import annotations

import hashlib
import json
import subprocess
import sys


def test_it_shows_card_tensors_operators_and_digest(fcn_edge, model_path):
    path = model_path("rgb")
    done = fcn_edge("inspect", path)
    assert done.returncode == 0, done.stderr
    for text in (
        hashlib.sha256(path.read_bytes()).hexdigest(),
        "test net",
        "image uint8 [batch, height, width, 3]",
        "labels uint8 [batch, height, width]",
        "opset 18, IR 10",
        "1 Conv",
        "passed against pytorch",
        "#dc143c  class 1",
    ):
        assert text in done.stdout


def test_json_is_one_object_with_the_whole_card(fcn_edge, model_path):
    path = model_path("wide")
    report = json.loads(fcn_edge("inspect", path, "--json").stdout)
    assert report["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert report["bytes"] == path.stat().st_size
    assert len(report["card"]["classes"]) == 300
    assert report["outputs"] == [{"name": "labels", "dtype": "uint16", "shape": ["batch", "height", "width"]}]
    assert report["operators"]["Conv"] == 1


def test_onnxruntime_is_not_needed(model_path):
    code = (
        "import sys\nsys.modules['onnxruntime'] = None\nfrom fcn_edge.cli import main\n"
        f"main(['inspect', {str(model_path('rgb'))!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "test net" in done.stdout


def test_a_file_that_is_not_a_model_is_refused_in_one_line(fcn_edge, tmp_path):
    (tmp_path / "m.onnx").write_text("nothing")
    for name in ("m.onnx", ".", "none.onnx"):
        done = fcn_edge("inspect", name)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert done.stdout == ""
