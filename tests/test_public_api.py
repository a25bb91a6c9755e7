"""What users may import, what it costs, and that no change of it goes unseen."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.public_api import FACES, FILE, lines

HEAVY = {"torch", "onnx", "onnxruntime", "numpy", "click", "rich", "PIL", "safetensors"}


def loaded_by(code):
    code = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_public_interface_is_the_one_on_file():
    expected = FILE.read_text().splitlines()
    assert "\n".join(lines()).splitlines() == expected, (
        "changed on purpose? python -m tests.public_api, and read the diff"
    )


@pytest.mark.parametrize("face", FACES)
def test_importing_a_face_loads_nothing_heavy(face):
    assert not loaded_by(f"import {face}; {face}.__all__; dir({face})") & HEAVY


def test_running_and_quantizing_names_load_no_torch():
    assert "torch" not in loaded_by("import fcn_edge; fcn_edge.Segmenter, fcn_edge.quantize, fcn_edge.tune")


@pytest.mark.parametrize("face", FACES)
def test_a_name_that_is_not_offered_is_an_attribute_error(face):
    module = __import__(face)
    assert sorted(dir(module)) == sorted(module.__all__)
    with pytest.raises(AttributeError, match=f"module '{face}' has no attribute 'nonsense'"):
        _ = module.nonsense


def test_the_version_is_that_of_the_command_line():
    import fcn_edge

    done = subprocess.run([sys.executable, "-m", "fcn_edge", "--version"], capture_output=True, text=True)
    assert done.stdout == f"fcn-edge {fcn_edge.__version__}\n"
