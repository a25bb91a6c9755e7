"""The commands as a user types them."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_a_smoke_run_trains_writes_everything_and_resumes(tmp_path):
    net = "corridor"
    command = [sys.executable, "-m", "models.corridor.train", "--smoke", "--net", net, "-o", str(tmp_path)]
    run = {"check": True, "capture_output": True, "text": True, "timeout": 600}
    subprocess.run([*command, "--until", "4"], **run)
    written = {f"{net}.ckpt", f"{net}.history.json", f"{net}.safetensors", "learning_curve.png"}
    assert {p.name for p in tmp_path.iterdir()} == written
    done = subprocess.run([*command, "--resume"], **run)
    assert "from step 4" in done.stderr
    assert "best validation mean IoU" in done.stdout
    assert {p.name for p in tmp_path.iterdir()} == written
