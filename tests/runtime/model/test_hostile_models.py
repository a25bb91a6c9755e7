"""Small, properly sealed files that would exhaust the machine are refused at little cost."""

from __future__ import annotations

import sys

import pytest

from fcn_edge_runtime.model.seal import sealed, unsealed
from tests.measured import assert_refused, measure

pytest.importorskip("onnx")
from tests.runtime.model.hostile_models import HOSTILE, hostile_model

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")


@pytest.fixture(scope="module")
def messages(tmp_path_factory, model_path):
    folder = tmp_path_factory.mktemp("hostile")
    paths = []
    for kind in HOSTILE:
        paths.append(folder / f"{kind}.onnx")
        paths[-1].write_bytes(hostile_model(kind))
        assert paths[-1].stat().st_size < 1 << 20
    return assert_refused("model", paths, model_path("plain"), "ModelError")


@pytest.mark.security(
    "a small sealed file that makes an oversized tensor, or never ends", "refused, time and memory measured"
)
@pytest.mark.parametrize("kind", HOSTILE)
def test_an_oversized_model_is_refused_within_time_and_memory(messages, kind):
    message = messages[f"{kind}.onnx"]
    # Before onnxruntime reads it, except for an operator that only onnxruntime knows not to exist.
    assert ("onnxruntime" in message) == (kind == "operator that does not exist")


@pytest.mark.security("one byte changed and sealed again", "runs or is refused, time and memory measured")
def test_a_changed_byte_runs_or_is_refused_and_the_process_lives(tmp_path, model_path):
    good = unsealed(model_path("plain").read_bytes())
    paths = []
    for position in range(0, len(good), len(good) // 80):
        changed = bytearray(good)
        changed[position] ^= 0x81
        paths.append(tmp_path / f"{position}.onnx")
        paths[-1].write_bytes(sealed(bytes(changed)))
    first, costs = measure("model", paths, model_path("plain"))
    for name, cost in costs.items():
        assert cost.error in ("", "ModelError"), (name, cost)
        assert cost.seconds < 2
        assert cost.megabytes < first.megabytes + 200
    assert sum(cost.error != "" for cost in costs.values()) > 10
