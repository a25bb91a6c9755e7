from __future__ import annotations

import json
import subprocess
import sys


def test_it_shows_what_starts_and_exits_with_0(fcn_edge):
    done = fcn_edge("doctor")
    assert done.returncode == 0, done.stderr
    for text in ("python ", "numpy ", "onnxruntime ", "device cpu      starts", "extra images"):
        assert text in done.stdout


def test_json_is_one_object(fcn_edge):
    report = json.loads(fcn_edge("doctor", "--json").stdout)
    assert report["can_run"]
    assert {
        "device": "cpu",
        "provider": "CPUExecutionProvider",
        "built_in": True,
        "starts": True,
        "why": "",
    } in (report["providers"])


def test_without_a_working_device_it_explains_and_exits_with_4():
    code = "import sys\nsys.modules['onnxruntime'] = None\nfrom fcn_edge.cli import main\nmain(['doctor'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 4
    assert "no device: onnxruntime is not installed: `pip install 'fcn-edge[cpu]'`" in done.stdout
