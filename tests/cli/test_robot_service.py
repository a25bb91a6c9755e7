from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from fcn_edge.service import bridge_unit
from fcn_edge_runtime.errors import UsageError

UNIT = Path(__file__).parents[2] / "runtime/ros2/systemd/fcn-edge-bridge.service"


def started(text):
    [line] = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    return line


def test_the_printed_unit_runs_this_installation(fcn_edge, model_path):
    done = fcn_edge("robot", "service", "--print", "--model", model_path("plain"), "--image-topic", "/front")
    assert done.returncode == 0, done.stderr
    assert started(done.stdout).endswith(f"--image-topic /front --model {model_path('plain')}")
    assert "warning: the unit hides the folder of " in done.stderr  # tests keep their models in /tmp
    lines = [line for line in UNIT.read_text().splitlines() if not line.startswith("ExecStart=")]
    assert set(lines) <= set(done.stdout.splitlines())


def test_without_print_nothing_is_done(fcn_edge):
    assert fcn_edge("robot", "service").returncode == 2


def test_blanks_and_percent_signs_of_a_path_are_quoted():
    line = started(bridge_unit(Path('/opt/a b/50%"$x.onnx'), None, None).text)
    assert line.endswith('--model "/opt/a b/50%%\\"$$x.onnx"')


def test_a_domain_is_in_the_environment():
    assert "Environment=ROS_DOMAIN_ID=42" in bridge_unit(None, None, 42).text.splitlines()


@pytest.mark.security("a topic or path of two lines in the systemd unit", "`UsageError`")
def test_a_topic_of_two_lines_is_refused():
    with pytest.raises(UsageError, match="without line breaks"):
        bridge_unit(None, "/a\nExecStartPre=/bin/sh", None)


def test_systemd_accepts_the_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    program = tmp_path / "fcn-edge"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = bridge_unit(Path("/opt/a b/m.onnx"), "/front", 3).text
    (tmp_path / "fcn-edge-bridge.service").write_text(
        text.replace(started(text).split("=", 1)[1].split(" robot ")[0], str(program))
    )
    command = ["systemd-analyze", "verify", "--man=no", tmp_path / "fcn-edge-bridge.service"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "fcn-edge-bridge.service" not in done.stderr, done.stderr
