import numpy as np
import onnx
import pytest

from fcn_edge_export.graph.names import LOGITS
from fcn_edge_export.graph.probe_outputs import with_logits_output
from fcn_edge_export.lowering.body import body_of, constants_of, typed
from fcn_edge_export.lowering.equalization import equalized
from fcn_edge_export.lowering.fold_normalization import FoldedModel
from fcn_edge_export.lowering.prepared import prepared
from fcn_edge_export.lowering.qdq import target_named
from fcn_edge_runtime.session.config import exact_integers
from fcn_edge_runtime.session.session import SessionOptions, open_session
from tests.export.parents import blocks, write_parent
from tests.export.transformers import PRODUCTS, transformer

TARGETS = ("x86-vnni", "x86", "gpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return typed(onnx.load(write_parent(tmp_path_factory.mktemp("rounding") / "parent.onnx")))


def images(first, count):
    return [blocks(seed=index)[None] for index in range(first, first + count)]


def made(model, target):
    seen = images(0, 6)
    return prepared(FoldedModel(model, None), body_of(model), target_named(target), seen, seen)


def logits(model):
    options = SessionOptions(config=exact_integers())
    session = open_session(with_logits_output(model), "cpu", options=options)
    return np.stack([session.run(image, [LOGITS])[LOGITS] for image in images(100, 6)])


@pytest.mark.parametrize("target", TARGETS)
def test_rounding_to_fit_frames_errs_less_on_other_frames(model, target):
    plain, expected = made(model, target), logits(model)
    errors = [
        np.square(logits(each.in_integers()) - expected).mean()
        for each in (plain, plain.fitted(images(0, 6)))
    ]
    assert errors[1] < 0.8 * errors[0]


def test_products_of_tokens_are_rounded_to_fit_frames(tmp_path):
    tokens = typed(onnx.load(write_parent(tmp_path / "tokens.onnx", model=transformer())))
    plain, expected = made(tokens, "x86-vnni"), logits(tokens)
    fitted = plain.fitted(images(0, 6))
    assert {name: layer.weight.shape for name, layer in fitted.rounded.items()} == {
        node.name: tuple(constants_of(tokens)[node.input[1]].dims)
        for node in tokens.graph.node
        if node.name in PRODUCTS
    }
    errors = [np.square(logits(each.in_integers()) - expected).mean() for each in (plain, fitted)]
    assert errors[1] < errors[0]


def test_what_is_kept_in_float_keeps_its_own_weights(model):
    whole = made(model, "x86-vnni").fitted(images(0, 2))
    mixed = whole.in_integers({"first"})
    node = next(node for node in mixed.graph.node if node.name == "first")
    kept, own = (constants_of(each)[node.input[1]].raw_data for each in (mixed, whole.model))
    assert kept == own


def test_equalized_channels_compute_the_same_scores(model):
    same = equalized(model, body_of(model), images(0, 6))
    assert np.allclose(logits(same), logits(model), rtol=1e-4, atol=1e-4)


def test_channels_of_a_tensor_come_closer_in_range(tmp_path):
    wide = typed(onnx.load(write_parent(tmp_path / "outlier.onnx", outlier=4000.0)))

    def spread(model):
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        copy.graph.output.append(onnx.ValueInfoProto(name="fr"))
        values = open_session(copy.SerializeToString(), "cpu").raw.run(["fr"], {"image": images(0, 1)[0]})[0]
        most = values.max((0, 2, 3))
        return most.max() / most.min()

    assert spread(equalized(wide, body_of(wide), images(0, 6))) < spread(wide) / 7
