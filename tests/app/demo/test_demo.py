from __future__ import annotations

import subprocess
import sys

import pytest
from PIL import Image


@pytest.mark.slow
def test_the_demo_makes_a_model_a_score_sheets_and_a_page(tmp_path):
    command = [sys.executable, "-m", "fcn_edge", "demo", "-o", str(tmp_path / "demo"), "-q"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "mean IoU" in done.stdout
    names = {p.name for p in (tmp_path / "demo").iterdir()}
    assert names == {
        "corridor.onnx",
        "corridor.verification.json",
        "sheet.png",
        "photographs.png",
        "summary.html",
    }
    assert Image.open(tmp_path / "demo" / "sheet.png").width > 1000
    page = (tmp_path / "demo" / "summary.html").read_text()
    assert "equal to PyTorch" in page
    assert '<img src="sheet.png"' in page
