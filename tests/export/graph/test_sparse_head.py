import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper

from fcn_edge_export import export
from fcn_edge_export.classes import numbered_classes
from fcn_edge_export.graph.graft import graft
from fcn_edge_export.graph.head_choice import choose_sparse
from fcn_edge_export.graph.nodes import Nodes
from fcn_edge_export.graph.probe_outputs import with_logits_output
from fcn_edge_export.graph.sparse_head import sparse_labels
from fcn_edge_export.lowering.gate import logits_of
from fcn_edge_export.lowering.quantize import quantize
from fcn_edge_export.options import ExportOptions, QuantizeOptions
from fcn_edge_export.verification.cases import Case
from fcn_edge_export.verification.head_rule import wrong_labels
from fcn_edge_export.verification.verdict import compare
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import Card, InputSpec
from fcn_edge_runtime.session.session import open_session
from tests.export import networks
from tests.export.parents import blocks, frames, network, write_parent

CARD = Card("colors", numbered_classes(3), InputSpec.default())

# Classes, align_corners: the first three hold each value of both.
HEADS = [(1, False), (2, True), (6, False), (1, True), (2, False), (6, True)]


def head_session(classes, *, align_corners=False):
    out = Nodes()
    how = {"elem_type": TensorProto.UINT8, "align_corners": align_corners, "binary": classes == 1}
    sparse_labels(out, "low", ["height", "width"], "labels", **how)
    inputs = [
        helper.make_tensor_value_info("low", TensorProto.FLOAT, ["n", classes, "h", "w"]),
        *(helper.make_tensor_value_info(side, TensorProto.INT64, [1]) for side in ("height", "width")),
    ]
    outputs = [helper.make_tensor_value_info("labels", TensorProto.UINT8, None)]
    graph = helper.make_graph(out.nodes, "head", inputs, outputs, out.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def scores(random, shape, kind):
    """Noise (every cell is hard), smooth fields (large classes), one class, or ties everywhere."""
    low = random.normal(size=shape).astype(np.float32)
    if kind == "smooth":
        coarse = torch.from_numpy(random.normal(size=(*shape[:2], 3, 3)).astype(np.float32))
        low = F.interpolate(coarse, size=shape[2:], mode="bicubic").numpy()
    if kind == "flat":
        low[:] = low[:, :, :1, :1]
    if kind == "ties":
        low = np.round(low)
    return low


def differences(session, low, height, width, *, align_corners=False):
    """(pixels that differ from PyTorch, their largest float64 margin in units of what is allowed)."""
    sizes = {"height": np.array([height]), "width": np.array([width])}
    got = session.run(None, {"low": low, **sizes})[0]
    return differing(got, low, align_corners=align_corners)


def differing(got, low, *, align_corners):
    """The same of labels (N, H, W) that were got."""
    height, width = got.shape[1:]
    how = {"size": (height, width), "mode": "bilinear", "align_corners": align_corners}
    dense = F.interpolate(torch.from_numpy(low), **how)
    exact = F.interpolate(torch.from_numpy(low).double(), **how).numpy()
    if low.shape[1] == 1:
        expected, margin = (dense[:, 0] > 0).numpy(), np.abs(exact[:, 0])
    else:
        best = np.partition(exact, -2, axis=1)
        expected, margin = dense.argmax(1).numpy(), best[:, -1] - best[:, -2]
    assert got.shape == expected.shape == (len(low), height, width)
    off = got != expected
    return int(off.sum()), float(margin[off].max() / (8 * 2.0**-23 * np.abs(low).max())) if off.any() else 0.0


def drawn(random, index, classes):
    """Their kind, low scores (N, C, h, w), and a height and width at which they are upsampled."""
    h, w = random.integers(1, 20, 2)
    height = int(h * random.integers(1, 12) + random.integers(0, h))
    width = int(w * random.integers(1, 12) + random.integers(0, w))
    kind = ("noise", "smooth", "ties", "flat")[index % 4]
    return kind, scores(random, (1 + index % 2, classes, h, w), kind), height, width


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("classes", "align_corners"), HEADS)
def test_labels_equal_those_of_pytorch_at_hundreds_of_sizes(classes, align_corners):
    random = np.random.default_rng(classes)
    session = head_session(classes, align_corners=align_corners)
    for index in range(120):
        kind, low, height, width = drawn(random, index, classes)
        count, worst = differences(session, low, height, width, align_corners=align_corners)
        assert worst <= 1, (kind, low.shape, height, width, count)


def test_no_pixel_differs_where_logits_are_smooth():
    random = np.random.default_rng(0)
    session = head_session(7)
    for size in ((240, 320), (517, 513), (480, 640)):
        low = scores(random, (1, 7, -(-size[0] // 8), -(-size[1] // 8)), "smooth")
        assert differences(session, low, *size)[0] == 0


@pytest.mark.parametrize("multiple", [1, 8])
def test_a_sparse_head_passes_the_verdict_of_a_dense_one(multiple):
    dense, sparse = (graft(network(), CARD, sparse=choice, multiple=multiple) for choice in (False, True))
    reference = logits_of(open_session(with_logits_output(dense), "cpu"))
    probe = open_session(with_logits_output(sparse), "cpu")
    shapes = [(1, 1), (17, 90), (64, 64), (131, 97)]
    cases = [Case("blocks", lambda s=s: blocks(*s)[None]) for s in shapes]
    verdict = compare(reference, probe, cases)
    verdict.require()
    assert not verdict.blind
    shipped = open_session(sparse.SerializeToString(), "cpu")
    for case, result in zip(cases, verdict.results, strict=True):
        assert shipped.run(case.image())["labels"].shape == case.image().shape[:3] == result.size


def test_without_other_outputs_no_logits_are_upsampled():
    assert all(node.op_type != "Resize" for node in graft(network(), CARD, sparse=True).graph.node)


def test_confidence_is_the_same_with_either_head():
    frame = blocks(61, 83)[None]
    runs = [
        open_session(graft(network(), CARD, ("confidence",), sparse=s).SerializeToString()).run(frame)
        for s in (False, True)
    ]
    assert np.array_equal(runs[0]["labels"], runs[1]["labels"])
    assert np.array_equal(runs[0]["confidence"], runs[1]["confidence"])


def test_a_label_that_is_not_the_winner_breaks_the_head_rule():
    probe = open_session(with_logits_output(graft(network(), CARD, sparse=True)), "cpu")
    got = probe.run(blocks()[None])
    assert not wrong_labels(got).any()
    got["labels"][0, 5, 7] = (got["labels"][0, 5, 7] + 1) % 3
    assert np.argwhere(wrong_labels(got)).tolist() == [[0, 5, 7]]


def test_other_upsampling_than_bilinear_is_refused():
    model = network()
    resize = next(node for node in model.graph.node if node.op_type == "Resize")
    next(a for a in resize.attribute if a.name == "mode").s = b"nearest"
    with pytest.raises(UsageError, match="does not end in plain bilinear"):
        graft(model, CARD, sparse=True)
    assert not choose_sparse("auto", model, CARD, ("labels",), {}, ("cpu",))


def test_auto_stays_dense_for_outputs_of_all_logits_and_for_cuda():
    assert not choose_sparse("auto", network(), CARD, ("labels", "logits"), {}, ("cpu",))
    assert not choose_sparse("auto", network(), CARD, ("labels",), {}, ("cpu", "cuda"))


def test_auto_measures_both_on_the_given_frames():
    assert choose_sparse("auto", network(), CARD, ("labels",), frames(1), ("cpu",)) in (True, False)


def test_a_file_with_a_sparse_head_can_be_quantized(tmp_path):
    parent = write_parent(tmp_path / "sparse.onnx", sparse=True)
    made = quantize(
        parent, tmp_path / "int8.onnx", lambda _: frames(20), options=QuantizeOptions(allow_slower=True)
    )
    assert made.agreement >= 0.99
    assert made.float_products == ()


@pytest.mark.slow
def test_a_sparse_file_names_its_head_and_gives_the_same_labels(tmp_path):
    net = networks.seeded(networks.Plain)
    frame = blocks(75, 133)
    found = []
    for head in ("dense", "sparse"):
        result = export(
            net,
            Card("net", (), InputSpec.default()),
            tmp_path / f"{head}.onnx",
            options=ExportOptions(head=head),
        )
        with Segmenter(result.path) as segmenter:
            found.append(segmenter(frame).labels)
    assert np.array_equal(*found)
    assert result.card.head == "sparse"
    assert "Resize" not in {node.op_type for node in onnx.load(result.path).graph.node}


def test_an_unknown_head_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="got the head 'best'"):
        export(
            networks.Plain(),
            Card("net", (), InputSpec.default()),
            tmp_path / "x.onnx",
            options=ExportOptions(head="best"),
        )
