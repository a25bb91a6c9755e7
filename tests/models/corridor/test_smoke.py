"""The commands as a user types them."""

from __future__ import annotations

import subprocess
import sys


def test_a_smoke_run_trains_writes_everything_and_resumes(tmp_path):
    net = "corridor"
    command = [sys.executable, "-m", "models.corridor.train", "--smoke", "--net", net, "-o", str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    assert "best validation mean IoU" in done.stdout
    assert {p.name for p in tmp_path.iterdir()} == {
        f"{net}.ckpt", f"{net}.history.json", f"{net}.safetensors", "learning_curve.png",
    }  # fmt: skip
    again = subprocess.run([*command, "--resume"], check=True, capture_output=True, text=True, timeout=600)
    assert "from step 8" in again.stderr
