"""Nothing is sent and nothing is left behind: onnxruntime from 1.29 on has telemetry, on by default."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCENE = Path(__file__).parents[3] / "models" / "landcover" / "aerial.tif"
MODEL = Path(__file__).parents[2] / "artifacts" / "0.1.0-float.onnx"
LOOKUPS = ("AF_INET", "nscd", "resolv.conf", "/etc/hosts")  # of a name, or a connection
EXPORT = """
import fcn_edge
fcn_edge.export(fcn_edge.build("fcn_tiny", num_classes=3).eval(), fcn_edge.Card("tiny"), "x.onnx")
"""
SEGMENTER = f"""
import time
import numpy as np
import fcn_edge_runtime
fcn_edge_runtime.Segmenter({str(MODEL)!r})(np.zeros((60, 80, 3), np.uint8))
time.sleep(2)  # the uploader is a thread that starts a little later
"""


def one_convolution(onnx):
    """A network as other exporters write it: an image in, logits out."""
    image = onnx.helper.make_tensor_value_info("image", 1, ["n", 3, "h", "w"])
    logits = onnx.helper.make_tensor_value_info("logits", 1, ["n", 3, "h", "w"])
    weight = onnx.numpy_helper.from_array(np.eye(3, dtype=np.float32)[:, :, None, None], "weight")
    node = onnx.helper.make_node("Conv", ["image", "weight"], ["logits"])
    graph = onnx.helper.make_graph([node], "net", [image], [logits], [weight])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def at_home(tmp_path):
    """Run Python in an empty folder with an empty home folder; gives what is in the home afterwards."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()

    def run(*words, before=(), **variables):
        environment = {
            k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
        }
        done = subprocess.run(
            [*map(str, before), sys.executable, *map(str, words)],
            env={**environment, "HOME": str(home), **variables},
            cwd=work,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return sorted(str(path.relative_to(home)) for path in home.rglob("*"))

    return run


@pytest.mark.security("onnxruntime's telemetry", "off: no look-up, nothing under the home folder")
def test_running_a_model_leaves_nothing_at_home(at_home):
    assert at_home("-c", SEGMENTER) == []


@pytest.mark.security("onnxruntime's telemetry", "off: no look-up, nothing under the home folder")
@pytest.mark.parametrize(
    "command",
    [
        "selftest",
        "inspect",
        "run",
        "map",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("adopt", "quantize")),
    ],
)
def test_a_run_of_the_command_line_looks_nothing_up(at_home, tmp_path, command):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    calls = tmp_path / "calls.txt"
    before = ("strace", "-f", "-qq", "-e", "trace=%network,openat", "-o", calls)
    arguments = (MODEL,)
    if command in ("run", "quantize"):
        (tmp_path / "images").mkdir()
        for name in range(4):
            noise = np.random.default_rng(name).integers(0, 256, (60, 80, 3), np.uint8)
            pytest.importorskip("PIL.Image").fromarray(noise).save(tmp_path / "images" / f"{name}.png")
    if command == "run":
        arguments = (MODEL, tmp_path / "images", "-o", tmp_path / "out")
    elif command == "quantize":
        pytest.importorskip("onnx")
        arguments = (
            MODEL,
            "--calibration",
            tmp_path / "images",
            "-o",
            tmp_path / "a.onnx",
            "--allow-slower",
            "--agreement",
            "0.5",
        )
    elif command == "map":
        pytest.importorskip("rasterio")
        arguments = (SCENE, "--model", MODEL, "-o", tmp_path / "map.tif")
    elif command == "adopt":
        onnx = pytest.importorskip("onnx")
        their = tmp_path / "their.onnx"
        onnx.save(one_convolution(onnx), their)
        arguments = (their, "-o", tmp_path / "a.onnx", "--classes", "3", "--normalize", "0-1")
    assert at_home("-m", "fcn_edge", command, *arguments, before=before) == []
    sent = [line for line in calls.read_text().splitlines() if any(word in line for word in LOOKUPS)]
    assert sent == []


@pytest.mark.security("onnxruntime's telemetry", "off: no look-up, nothing under the home folder")
@pytest.mark.slow
def test_an_export_leaves_nothing_of_telemetry_at_home(at_home):
    pytest.importorskip("torch")
    # torch.onnx and onnxsim import onnxruntime before we do, one of them in a process of its own.
    assert [name for name in at_home("-c", EXPORT) if "Microsoft" in name or "onnxruntime" in name] == []


def test_who_wants_telemetry_can_have_it(at_home):
    code = "import fcn_edge, os; assert os.environ['ORT_DISABLE_TELEMETRY'] == '0'"
    at_home("-c", code, ORT_DISABLE_TELEMETRY="0")
