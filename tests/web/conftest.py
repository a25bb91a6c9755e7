from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PACKAGES = HERE / "node_modules"


@pytest.fixture(scope="session")
def node():
    """Runs a script of this folder with Node.js and returns what it prints, parsed line by line."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("Node.js is not installed")
    if int(subprocess.check_output([found, "--version"], text=True)[1:].split(".")[0]) < 18:
        pytest.skip("Node.js is older than version 18")

    def run(script, *args, env=None):
        command = [found, HERE / script, *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


@pytest.fixture(scope="session")
def packages():
    """The folder of the npm packages that the slow tests need."""
    if not (PACKAGES / "onnxruntime-node").is_dir():
        pytest.skip("the npm packages are not installed: make node-packages")
    return PACKAGES


@pytest.fixture
def segment(node, packages, tmp_path):
    """Segments arrays with runtime/web on onnxruntime-node: a dictionary, with `labels` as arrays.

    An array (H, W, 4) uint8 is given as a canvas gives its pixels; any other as it is.
    """
    del packages

    def run(model, images, env=None, **options):
        entries = []
        for number, image in enumerate(images):
            file = tmp_path / f"image{number}"
            file.write_bytes(image.tobytes())
            kind = "rgba" if image.ndim == 3 and image.shape[2] == 4 else str(image.dtype)
            height, width = image.shape[:2]
            entries.append({"file": str(file), "kind": kind, "width": width, "height": height})
        request = tmp_path / "request.json"
        request.write_text(json.dumps({"model": str(model), "options": options, "images": entries}))
        [answer] = node("segment.mjs", request, env=env)
        for image, result in zip(images, answer.get("results", ()), strict=False):
            if "labels" in result:
                raw = Path(result["labels"]).read_bytes()
                count = image.shape[0] * image.shape[1]
                dtype = np.uint8 if len(raw) == count else np.uint16
                result["labels"] = np.frombuffer(raw, dtype).reshape(image.shape[:2])
        return answer

    return run
