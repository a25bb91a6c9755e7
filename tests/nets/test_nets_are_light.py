"""What an import costs: listing networks loads no torch, and `import fcn_edge` nothing at all."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "numpy", "onnx", "onnxruntime", "safetensors", "click", "rich"}


def loaded_after(code):
    code = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import fcn_edge; fcn_edge.__all__",
        "from fcn_edge.nets import entries; [print(entry) for entry in entries()]",
        "from fcn_edge import nets; nets.parse_weights('random:1'); nets.parse_settings(['a=1'])",
    ],
)
def test_listing_and_parsing_load_nothing_heavy(code):
    assert not loaded_after(code) & HEAVY


def test_the_package_offers_build_and_no_missing_names():
    code = (
        "import fcn_edge; assert 'build' in dir(fcn_edge); assert not hasattr(fcn_edge, 'x'); fcn_edge.build"
    )

    assert "torch" not in loaded_after(code)
