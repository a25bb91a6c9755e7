"""A model with a changed byte and a new seal runs or is refused, and the process lives."""

from __future__ import annotations

import sys

import pytest

from fcn_edge_runtime.model.seal import sealed, unsealed
from tests.measured import measure

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")


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
