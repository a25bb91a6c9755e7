"""Our files with the OpenVINO provider, in an environment of its own: its onnxruntime excludes others."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from pathlib import Path

import numpy as np
import pytest

from fcn_edge_runtime import Segmenter

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
ARTIFACTS = sorted((ROOT / "tests" / "artifacts").glob("*.onnx"))
WORK = """
import json, sys
import numpy as np
from fcn_edge_runtime import Segmenter
answers = {}
for path in sys.argv[2:]:
    with Segmenter(path, threads=1) as segmenter:
        card = segmenter.card
        image = np.load(sys.argv[1])[..., : card.input.channels].astype(card.input.dtype)
        answers[path] = [segmenter.session.provider, segmenter(image).labels.tolist()]
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    folder = tmp_path_factory.mktemp("openvino")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    constraints = folder / "constraints.txt"
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    constraints.write_text("\n".join(line for line in pins if not line.startswith("onnxruntime")))
    packages = [f"{ROOT}[openvino]"]
    subprocess.run([python, "-m", "pip", "install", "-q", "-c", constraints, *packages], check=True)
    return python


def answer(python, code, image, models, folder):
    """What the code prints of an image and models, as JSON, in the environment with OpenVINO."""
    np.save(folder / "image.npy", image)
    done = subprocess.run(
        [python, "-c", code, folder / "image.npy", *models],
        capture_output=True,
        text=True,
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_kind_of_file_labels_as_on_the_cpu(python, tmp_path):
    image = np.random.default_rng(5).integers(0, 256, (61, 83, 8), dtype=np.uint8)
    answers = answer(python, WORK, image, ARTIFACTS, tmp_path)
    for path in ARTIFACTS:
        provider, labels = answers[str(path)]
        assert provider == "OpenVINOExecutionProvider"
        with Segmenter(path, "cpu") as segmenter:
            card = segmenter.card
            expected = segmenter(image[..., : card.input.channels].astype(card.input.dtype)).labels
        assert (np.array(labels) == expected).mean() > 0.99, path.name


FAST = """
import json, sys
import numpy as np
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.session.session import SessionOptions
image = np.load(sys.argv[1])[..., :3].copy()
extra = SessionOptions(head="numpy", bf16=True, size=image.shape[:2])
with Segmenter(sys.argv[2], "openvino", threads=1, options=extra) as segmenter:
    print(json.dumps(segmenter(image).labels.tolist()))
"""


def test_an_int8_file_keeps_its_labels_with_every_fast_option(python, tmp_path):
    image = np.random.default_rng(6).integers(0, 256, (61, 83, 3), dtype=np.uint8)
    path = ROOT / "tests" / "artifacts" / "0.1.0-int8.onnx"
    labels = answer(python, FAST, image, [path], tmp_path)
    with Segmenter(path, "cpu") as segmenter:
        expected = segmenter(image).labels
    assert (np.array(labels) == expected).mean() > 0.99


ONE_SIZE = """
import json, sys
import numpy as np
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.session.session import SessionOptions
image = np.load(sys.argv[1])[..., :3].copy()
labels = []
for size in (None, image.shape[:2]):
    options = SessionOptions(head="auto", bf16=False, size=size)
    segmenter = Segmenter(sys.argv[2], "openvino", threads=1, options=options)
    labels.append(segmenter(image).labels)
print(json.dumps([segmenter.session.head is None, float((labels[0] == labels[1]).mean())]))
"""


def test_a_session_of_one_size_computes_the_labels_itself(python, tmp_path):
    image = np.random.default_rng(7).integers(0, 256, (61, 83, 3), dtype=np.uint8)
    path = ROOT / "tests" / "artifacts" / "0.1.0-int8.onnx"
    itself, equal = answer(python, ONE_SIZE, image, [path], tmp_path)
    assert itself
    assert equal > 0.999


def test_the_command_line_offers_it(python, tmp_path):
    done = subprocess.run(
        [python, "-m", "fcn_edge", "selftest", ARTIFACTS[0], "--device", "openvino"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "openvino" in done.stdout
