"""ONNX files as other tools leave them: adopted with their own labels, or refused with the reason."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper, parser

from fcn_edge_export import AdoptOptions, adopt
from fcn_edge_export.adoption.file import read_onnx
from fcn_edge_export.adoption.fused import unfused
from fcn_edge_export.adoption.integers import as_qdq
from fcn_edge_export.adoption.opset import at_our_opset
from fcn_edge_export.adoption.reference import resized
from fcn_edge_export.brevity import brief
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import FcnEdgeError, InputError, UsageError
from fcn_edge_runtime.model.card import Card, InputSpec

CARD = Card("given", (), InputSpec.unit())
SCALES = "s = Constant <value = float[4] {1, 1, 2, 2}> ()"
NONE = "none = Constant <value = float[0] {}> ()"
SIZE = "size = Constant <value = int64[4] {1, 5, 64, 96}> ()"
FIXED = "float[1,3,64,96]"


def given(path, body, *, opset=17, pixels="float[n,3,h,w]", scores="float[n,5,h,w]", ir=8):
    """A file: a convolution of stride 2 makes `c` of the image `x`, the body makes `y` of it."""
    text = f"""<ir_version: {ir}, opset_import: ["" : {opset}, "com.microsoft" : 1]>
    net ({pixels} x) => ({scores} y) {{
        c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w, b)
        {body}
    }}"""
    model = parser.parse_model(text)
    rng = np.random.default_rng(0)
    weights = {"w": 4 * rng.standard_normal((5, 3, 3, 3)), "b": rng.standard_normal(5)}
    weights["w"] -= weights["w"].mean((1, 2, 3), keepdims=True)  # every class wins somewhere
    model.graph.initializer.extend(
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()
    )
    onnx.save(model, path)
    return path


def outputs_of(path, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        path if isinstance(path, bytes) else str(path), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def frame(height=64, width=96):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def planes(image):
    return image.transpose(2, 0, 1)[None].astype(np.float32) / 255


def adopted_labels(source, image, **options):
    adopt(source, CARD, source.with_name("ours.onnx"), options=AdoptOptions(**options))
    with Segmenter(source.with_name("ours.onnx"), "cpu") as segmenter:
        return segmenter(image).labels


GRID = """t = Transpose <perm = [0, 2, 3, 1]> (x)
    first = Constant <value = int64[1] {0}> ()
    end = Constant <value = int64[1] {2}> ()
    axis = Constant <value = int64[1] {3}> ()
    g = Slice (t, first, end, axis)
    y = GridSample <mode = "linear"> (c, g)"""


GROUPS = """k = Constant <value = float[5] {1, 2, 3, 4, 5}> ()
    o = Constant <value = float[5] {0, 1, 0, 1, 0}> ()
    y = GroupNormalization <num_groups = 1> (c, k, o)"""


@pytest.mark.parametrize(
    ("opset", "body"),
    [
        (8, 'y = Upsample <scales = [1.0, 1.0, 2.0, 2.0], mode = "linear"> (c)'),
        (9, f'{SCALES} y = Upsample <mode = "linear"> (c, s)'),
        (10, f'{SCALES} y = Resize <mode = "linear"> (c, s)'),
        (10, 's = Constant <value = float[4] {1, 1, 0.5, 0.5}> () y = Resize <mode = "nearest"> (c, s)'),
        (20, f"g = Gelu (c) {SCALES} {NONE} y = Resize (g, none, s)"),
        (20, GRID),
        (21, GROUPS),
    ],
)
def test_older_and_newer_operators_compute_the_same(opset, body, tmp_path):
    source = given(tmp_path / "t.onnx", body, opset=opset)
    model = at_our_opset(source, read_onnx(source, None, None).model)
    assert [o.version for o in model.opset_import if not o.domain] == [18]
    x = np.random.default_rng(1).random((1, 3, 32, 48), np.float32)
    ours = outputs_of(model.SerializeToString(), x)
    assert np.abs(ours - outputs_of(source, x)).max() < 1e-5


FUSED = """f = com.microsoft.FusedConv <activation = "LeakyRelu", activation_params = [0.1],
                                 pads = [1, 1, 1, 1], strides = [2, 2]> (x, w, b)
    z = com.microsoft.FusedConv <activation = "Clip", activation_params = [0.0, 1.0],
                                 pads = [1, 1, 1, 1], strides = [2, 2]> (x, w, b, f)
    k = com.microsoft.Gelu (z)
    y = Add (k, f)"""


def test_what_an_optimizer_fused_is_taken_apart(tmp_path):
    source = given(tmp_path / "t.onnx", FUSED)
    model = read_onnx(source, None, None).model
    unfused(model.graph)
    assert not any(node.domain for node in model.graph.node)
    x = np.random.default_rng(1).random((1, 3, 32, 48), np.float32)
    assert np.abs(outputs_of(model.SerializeToString(), x) - outputs_of(source, x)).max() < 1e-5


INTEGERS = """u = Constant <value = float {0.05}> ()
    z = Constant <value = uint8 {128}> ()
    q = QuantizeLinear (c, u, z)
    a = com.microsoft.QLinearAdd (q, u, z, q, u, z, u, z)
    s = com.microsoft.QLinearSigmoid (a, u, z, u, z)
    m = com.microsoft.QLinearMul (q, u, z, s, u, z, u, z)
    g = com.microsoft.QLinearGlobalAveragePool (m, u, z, u, z)
    k = com.microsoft.QLinearAdd (m, u, z, g, u, z, u, z)
    j = com.microsoft.QLinearConcat <axis = 1> (u, z, k, u, z, q, u, z)
    y = DequantizeLinear (j, u, z)"""


def test_operators_of_integers_are_written_as_float_ones(tmp_path):
    source = given(tmp_path / "t.onnx", INTEGERS, scores="float[n,10,h,w]")
    model = read_onnx(source, None, None).model
    as_qdq(model)
    assert not any(node.domain for node in model.graph.node)
    x = np.random.default_rng(1).random((1, 3, 32, 48), np.float32)
    far = (
        np.abs(outputs_of(model.SerializeToString(), x) - outputs_of(source, x)) > 0.051
    )  # more than one step
    assert far.mean() < 0.001


def test_images_at_once_and_size_are_read_off_constants(tmp_path):
    # What exporters at one size leave: the size, and that of the batch, are written into the operators.
    body = f'{SIZE} {NONE} y = Resize <mode = "linear"> (c, none, none, size)'
    source = given(tmp_path / "t.onnx", body, pixels=FIXED, scores="float[1,5,64,96]")
    image = frame()
    assert (adopted_labels(source, image) == outputs_of(source, planes(image))[0].argmax(0)).mean() > 0.999
    # The same declares any size: it runs at others, and gives scores of this one.
    said = given(tmp_path / "s.onnx", body)
    assert np.array_equal(adopted_labels(said, image), adopted_labels(source, image))


def test_a_fixed_batch_takes_one_image_several_times(tmp_path):
    source = given(tmp_path / "t.onnx", "y = Identity (c)", pixels="float[4,3,h,w]", scores="float[4,5,h,w]")
    adopted_labels(source, frame())
    x = np.repeat(planes(frame()), 4, 0)
    with Segmenter(tmp_path / "ours.onnx", "cpu") as segmenter:
        labels = segmenter(frame()).labels
    assert (labels == resized(outputs_of(source, x)[0], (64, 96)).argmax(0)).mean() > 0.999


UP = f'{SCALES} {NONE} up = Resize <mode = "linear"> (c, none, s)\n'
FLAT = """t = Transpose <perm = [0, 2, 3, 1]> (up)
    all = Constant <value = int64[3] {0, -1, 5}> ()
    f = Reshape (t, all)
    y = Softmax <axis = -1> (f)"""
BINARY = """zero = Constant <value = int64[1] {0}> ()
    one = Constant <value = int64[1] {1}> ()
    half = Constant <value = float {0.5}> ()
    many = Constant <value = float {255}> ()
    first = Slice (up, zero, one, one)
    p = Sigmoid (first)
    m = Greater (p, half)
    f = Cast <to = 1> (m)
    y = Mul (f, many)"""
TOP = """one = Constant <value = int64[1] {1}> ()
    best, y = TopK <axis = 1> (up, one)"""


@pytest.mark.parametrize(
    ("body", "decided"),
    [
        (FLAT, lambda y: y.reshape(64, 96, 5).argmax(-1)),
        (BINARY, lambda y: y[0, 0] > 0),
        pytest.param(TOP, lambda y: y[0, 0], marks=pytest.mark.slow),
    ],
)
def test_what_is_behind_the_logits_is_left_out(body, decided, tmp_path):
    kind = {FLAT: "float[n,k,5]", BINARY: "float[n,1,h,w]", TOP: "int64[n,1,h,w]"}[body]
    source = given(tmp_path / "t.onnx", UP + body, scores=kind)
    image = frame()
    expected = decided(outputs_of(source, planes(image)))
    assert len(np.unique(expected)) > 1
    assert (adopted_labels(source, image) == expected).mean() > 0.999


SMALL_LABELS = f"""one = Constant <value = int64[1] {{1}}> ()
    a = ArgMax <axis = 1> (c)
    f = Cast <to = 1> (a)
    {SCALES} {NONE} y = Resize <mode = "nearest"> (f, none, s)"""
LATE = """zero = Constant <value = int64[1] {0}> ()
    one = Constant <value = int64[1] {1}> ()
    half = Constant <value = float {0.5}> ()
    first = Slice (c, zero, one, one)
    small = Constant <value = float {0.1}> ()
    scaled = Mul (first, small)
    p = Sigmoid (scaled)
    up = Resize <mode = "nearest"> (p, none, s)
    m = Greater (up, half)
    y = Cast <to = 1> (m)"""


def test_a_threshold_behind_resized_probabilities_is_kept(tmp_path):
    source = given(tmp_path / "t.onnx", f"{SCALES} {NONE} {LATE}", scores="float[n,1,h,w]")
    expected = outputs_of(source, planes(frame()))[0, 0]
    assert (adopted_labels(source, frame(), activation="sigmoid") == expected).mean() > 0.999
    with pytest.raises(UsageError, match=r"is 1 above 0\.5, the new file would be so above 0: "):
        adopt(source, CARD, tmp_path / "a.onnx")


STRICT = BINARY.replace("{0.5}", "{0.9}")
SWAPPED = TOP.replace("axis = 1", "axis = 1, largest = 0")
MERGED = """table = Constant <value = int64[5] {0, 1, 1, 2, 2}> ()
    a = ArgMax <axis = 1> (up)
    y = Gather (table, a)"""
INVERTED = BINARY.replace("Mul (f, many)", "Sub (many, f)")
BOXES = """all = Constant <value = int64[3] {0, 5, -1}> ()
    f = Reshape (c, all)
    y = Transpose <perm = [0, 2, 1]> (f)"""
BRANCH = """none = Shape (c)
    a = Constant <value = int64 {2}> ()
    h = Gather (none, a)
    t = Constant <value = int64 {100}> ()
    large = Greater (h, t)
    y = If (large) <then_branch = g1 () => (float[n,5,h,w] p) {p = Neg (c)},
                    else_branch = g2 () => (float[n,5,h,w] q) {q = Identity (c)}>"""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (SMALL_LABELS, "its output 'y' does not decide as its tensor 'c' does, which is before its ArgMax"),
        (UP + STRICT, "its output 'y' is 1 above 0.9, the new file would be so above 0.5: .*--threshold"),
        (UP + INVERTED, "its output 'y' does not decide as its tensor 'first' does"),
        (UP + SWAPPED, "its output 'y' does not decide as its tensor 'up' does, which is before its TopK"),
        (UP + MERGED, "its output 'y' does not decide as its tensor 'up' does, which is before its ArgMax"),
        (BOXES, "none of the given file's outputs covers its image"),
        ("y = SequenceConstruct (c)", "none of the given file's outputs covers its image"),
        ("r = RandomNormalLike (c) y = Add (c, r)", "is a network in training .RandomNormalLike."),
        (BRANCH, "has control flow .If., expected a network that does the same for every image"),
        ("y = Add (c, nowhere)", "has no operator that computes its tensor nowhere"),
        ("y = Add (c, z) z = Neg (y)", "has operators that wait for each other: Add, Neg"),
        ("y = Neg (c) y = Relu (c)", "has more than one tensor of the name y: it is damaged"),
        ("y = Frobnicate (c)", "is not a model that onnxruntime runs: .*Frobnicate"),
    ],
)
def test_what_cannot_be_adopted_is_one_line_with_the_reason(body, message, tmp_path):
    kinds = {"Sequence": "seq(float[n,5,h,w])", "Gather (table": "int64[n,1,h,w]", "TopK": "int64[n,1,h,w]"}
    scores = next((kind for part, kind in kinds.items() if part in body), "float[n,5,h,w]")
    source = given(tmp_path / "t.onnx", body, scores=scores)
    with pytest.raises(FcnEdgeError, match=message) as caught:
        adopt(source, CARD, tmp_path / "a.onnx")
    assert "\n" not in str(caught.value)
    assert "ONNXRuntimeError" not in str(caught.value)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        ("float[1,3,20000,20000]", "takes 20000 rows of 20000 columns, expected at most"),
        ("float[70000,3,h,w]", "takes 70000 images at once, expected at most"),
        ("float[1,3,h,96]", "takes images of any x 96 pixels: .*--working-size HxW, such as 96x96"),
    ],
)
def test_sizes_that_cannot_be_used_are_refused_at_once(pixels, message, tmp_path):
    source = given(tmp_path / "t.onnx", "y = Identity (c)", pixels=pixels)
    with pytest.raises((InputError, UsageError), match=message):
        adopt(source, CARD, tmp_path / "a.onnx")


def test_a_graph_written_carelessly_is_put_in_order(tmp_path):
    path = given(tmp_path / "t.onnx", "d = Neg (c) y = Neg (d)", pixels="float[b,c,h,w]", ir=3)
    tidy = onnx.load(path)
    careless = onnx.load(path)
    nodes = [*careless.graph.node]
    del careless.graph.node[:]
    careless.graph.node.extend(nodes[::-1])
    for node in careless.graph.node:
        node.name, node.domain = "same", "ai.onnx"
    for tensor in careless.graph.initializer:  # as IR 3 lists them
        careless.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    for dim in careless.graph.input[0].type.tensor_type.shape.dim:
        dim.dim_value = -1
    onnx.save(careless, path)
    file = read_onnx(path, None, None)
    assert [n.op_type for n in file.model.graph.node] == [n.op_type for n in tidy.graph.node]
    assert (file.layout, file.batch, file.size) == ("NCHW", None, None)
    x = planes(frame())
    assert np.array_equal(
        outputs_of(file.model.SerializeToString(), x), outputs_of(tidy.SerializeToString(), x)
    )


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"PK\x03\x04" + b"x" * 99, "a zip archive, such as a checkpoint of PyTorch"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
        (b"\x20\0\0\0\0\0\0\0" + b'{"weight":{"dtype":"F32"}}', "a file of safetensors"),
        (b"<!DOCTYPE html><html>", "a page of the web"),
    ],
)
def test_another_kind_of_file_is_named(data, kind, tmp_path):
    (tmp_path / "t.onnx").write_bytes(data)
    with pytest.raises(InputError, match=f"is {kind}.*expected an ONNX file"):
        adopt(tmp_path / "t.onnx", CARD, tmp_path / "a.onnx")


def test_places_in_the_code_of_onnxruntime_are_left_out():
    text = (
        "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Reshape node. Name:'/r' "
        "Status Message: /onnxruntime_src/core/reshape_helper.h:91 onnxruntime::ReshapeHelper(const "
        "onnxruntime::TensorShape&, bool) size was false."
    )
    assert brief(text) == "Reshape '/r': size was false."
