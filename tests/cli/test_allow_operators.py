"""Files with operators that an export does not write: refused, allowed by name, opened in a child first."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fcn_edge_runtime.model.allowed import ALLOW_OPERATORS

pytest.importorskip("onnx")
from onnx import helper, numpy_helper

from tests.runtime import make_models as mm


@pytest.fixture
def unusual(tmp_path):
    """A model with an operator that is not on the list; its result is not used."""
    card = mm.make_card()
    proto = mm.make_proto(card)
    golden = mm.make_golden(card, proto)
    last = proto.graph.node.pop()
    proto.graph.node.extend([helper.make_node("LRN", ["logits"], ["normalized"], size=3), last])
    path = tmp_path / "unusual.onnx"
    path.write_bytes(mm.finish(proto, card, golden))
    return path


@pytest.mark.parametrize("command", ["inspect", "selftest"])
def test_an_unusual_operator_is_allowed_by_name(fcn_edge, unusual, command):
    refused = fcn_edge(command, unusual)
    assert refused.returncode == 1
    assert "LRN, which is not on the list" in refused.stderr
    assert refused.stderr.rstrip().endswith("allow it if you trust the file (--allow-operators LRN)")
    assert fcn_edge(command, unusual, "--allow-operators", "TopK,LRN").returncode == 0


def test_the_environment_allows_operators_too(fcn_edge, unusual, monkeypatch):
    monkeypatch.setenv(ALLOW_OPERATORS, "LRN")
    done = fcn_edge("inspect", unusual, "--json")
    assert done.returncode == 0
    facts = json.loads(done.stdout)
    assert facts["operators"]["LRN"] == 1
    assert facts["card"]["operators"] == dict(sorted(facts["operators"].items()))


def test_run_opens_a_file_in_a_child_first_on_request(fcn_edge, unusual, photos):
    options = ("-o", "out", "--save", "labels", "--isolate-first")
    refused = fcn_edge("run", unusual, photos, *options)
    assert (refused.returncode, refused.stdout) == (1, "")
    done = fcn_edge("run", unusual, photos, *options, "--allow-operators", "LRN")
    assert done.returncode == 0, done.stderr


def test_a_self_test_that_fails_in_the_child_ends_run(fcn_edge, tmp_path, photos):
    mm.build("plain_wrong", tmp_path / "wrong.onnx")
    done = fcn_edge("run", "wrong.onnx", photos, "-o", "out", "--isolate-first")
    assert done.returncode == 3
    assert "the self-test failed" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_run_that_fails_prints_one_line_alone(fcn_edge, tmp_path):
    # TopK of more than there is fails in onnxruntime, which would log it in color.
    card = mm.make_card()
    proto = mm.make_proto(card)
    golden = mm.make_golden(card, proto)
    last = proto.graph.node.pop()
    last.input[0] = "top"
    proto.graph.node.extend([helper.make_node("TopK", ["index", "k"], ["top", "where"]), last])
    proto.graph.initializer.append(numpy_helper.from_array(np.array([10**6], np.int64), "k"))
    (tmp_path / "fails.onnx").write_bytes(mm.finish(proto, card, golden))
    done = fcn_edge("selftest", "fails.onnx")
    assert done.returncode == 1
    assert done.stderr.startswith("error: onnxruntime failed on cpu with an image of 2x64x96x3 uint8")
    assert len(done.stderr.strip().splitlines()) == 1
