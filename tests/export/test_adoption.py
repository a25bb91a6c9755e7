"""ONNX files of other exporters become verified files, held against themselves."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
from torch import nn

from fcn_edge_export import AdoptOptions, QuantizeOptions, adopt, quantize
from fcn_edge_export.adoption.reference import resized
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.model.card import Card, InputSpec

CARD = Card("theirs", (), InputSpec.unit())


class Net(nn.Module):
    """Two strided convolutions and a classifier; `last` makes of its logits what the file gives."""

    def __init__(self, classes=5, last="full"):
        super().__init__()
        torch.manual_seed(1)
        self.body = nn.Sequential(
            nn.Conv2d(3, 12, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(12, 12, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(12, classes, 1),
        )
        with torch.no_grad():  # every class wins somewhere
            self.body[-1].bias -= self.body(torch.rand(1, 3, 96, 128)).mean((0, 2, 3))
        self.last = last

    def forward(self, x):
        y = 20 * self.body(x)
        if self.last != "coarse":
            y = F.interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False)
        if self.last == "argmax":
            return y.softmax(1).argmax(1)
        if self.last == "two":
            return y, y[:, :3]
        return {"softmax": y.softmax(1), "sigmoid": y.sigmoid()}.get(self.last, y)


def theirs(path, net=None, *, opset=17, dynamic=True, size=(96, 128), **options):
    """What another exporter writes: one file with the input `pixels`."""
    net = (net or Net()).eval()
    example = torch.rand(1, 3, *size)
    outputs = net(example)
    names = [f"out{index}" for index in range(len(outputs) if isinstance(outputs, tuple) else 1)]
    axes = None
    if dynamic:
        spatial = {0: "n", 1: "h", 2: "w"} if net.last == "argmax" else {0: "n", 2: "h", 3: "w"}
        axes = {"pixels": {0: "n", 2: "h", 3: "w"}, **dict.fromkeys(names, spatial)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (example,),
            str(path),
            input_names=["pixels"],
            output_names=names,
            dynamic_axes=axes,
            opset_version=opset,
            dynamo=False,
            **options,
        )
    return path


def frame(height=70, width=90, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def labels_of(net, image):
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        y = 20 * net.body(x)
        return F.interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False).argmax(1)[0].numpy()


def equal(got, expected):
    return (got == expected).mean() > 0.999  # random networks have ties


@pytest.mark.parametrize(
    ("last", "opset", "undone"),
    [
        ("full", 17, "none"),
        pytest.param("full", 20, "none", marks=pytest.mark.slow),
        ("coarse", 9, "none"),
        ("softmax", 13, "softmax"),
        ("argmax", 13, "softmax"),
        pytest.param("argmax", 12, "softmax", marks=pytest.mark.slow),  # between transpositions
    ],
)
@pytest.mark.sampled(2)
def test_labels_are_those_of_pytorch_whatever_the_file_gave(last, opset, undone, tmp_path):
    net = Net(last=last)
    result = adopt(theirs(tmp_path / "t.onnx", net, opset=opset), CARD, tmp_path / "a.onnx")
    assert result.card.verification.reference == "onnx"
    assert result.card.net.activation == undone
    for size in ((70, 90), (96, 128), (33, 200)):
        image = frame(*size)
        assert equal(Segmenter(tmp_path / "a.onnx", "cpu")(image).labels, labels_of(net, image))


def test_one_score_before_a_sigmoid_makes_a_binary_file(tmp_path):
    net = Net(1, "sigmoid")
    source = theirs(tmp_path / "t.onnx", net)
    adopt(source, CARD, tmp_path / "a.onnx", options=AdoptOptions(outputs=("labels", "confidence")))
    image = frame()
    got = Segmenter(tmp_path / "a.onnx", "cpu")(image)
    with torch.inference_mode():
        p = net(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)[0, 0].numpy()
    assert equal(got.labels, p > 0.5)
    assert np.abs(got.confidence - np.maximum(p, 1 - p)).max() < 1e-4


@pytest.mark.parametrize("last", ["full", pytest.param("coarse", marks=pytest.mark.slow)])
def test_a_file_bound_to_one_size_works_at_it_and_labels_any(last, tmp_path):
    net = Net(last=last)
    result = adopt(theirs(tmp_path / "t.onnx", net, dynamic=False), CARD, tmp_path / "a.onnx")
    assert result.card.working_size.size == (96, 128)
    image = frame(120, 170)
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    small = F.interpolate(x, (96, 128), mode="bilinear", antialias=True)
    with torch.inference_mode():
        y = F.interpolate(20 * net.body(small), (96, 128), mode="bilinear")
        expected = F.interpolate(y, (120, 170), mode="bilinear").argmax(1)[0].numpy()
    assert equal(Segmenter(tmp_path / "a.onnx", "cpu")(image).labels, expected)


@pytest.mark.parametrize("last", ["full", pytest.param("coarse", marks=pytest.mark.slow)])
def test_a_fixed_file_can_be_made_dynamic(last, tmp_path):
    net = Net(last=last)
    source = theirs(tmp_path / "t.onnx", net, dynamic=False)
    adopt(source, CARD, tmp_path / "a.onnx", options=AdoptOptions(dynamic=True))
    image = frame(120, 76)
    assert equal(Segmenter(tmp_path / "a.onnx", "cpu")(image).labels, labels_of(net, image))


class Pyramid(Net):
    def forward(self, x):
        y = self.body(x)
        pooled = [F.adaptive_avg_pool2d(y, side) for side in (1, 2)]
        return y + sum(F.interpolate(p, size=y.shape[-2:], mode="bilinear") for p in pooled)


class Cells(Net):
    def forward(self, x):
        y = self.body(x)
        return y * F.interpolate(F.adaptive_avg_pool2d(y, 2), size=y.shape[-2:], mode="bilinear")


class Sum(Net):
    def forward(self, x):
        y = self.body(x)
        return y * y.sum((2, 3), keepdim=True) / (24 * 32)


class Attention(Net):
    def __init__(self):
        super().__init__(last="coarse")
        self.attention = nn.MultiheadAttention(12, 3)  # [positions, images, channels]: images are inner

    def forward(self, x):
        y = self.body[:-1](x)
        z = y.flatten(2).permute(2, 0, 1)
        z = z + self.attention(z, 2 * z, 3 * z, need_weights=False)[0]
        return 20 * self.body[-1](z.permute(1, 2, 0).reshape(y.shape))


def test_attention_of_one_image_takes_several_images(tmp_path):
    source = theirs(tmp_path / "t.onnx", Attention(), dynamic=False, size=(32, 48))
    adopt(source, CARD, tmp_path / "a.onnx")
    images = np.stack([frame(32, 48, seed) for seed in range(3)])
    with Segmenter(tmp_path / "a.onnx", "cpu") as segmenter:
        together = segmenter(images).labels
        assert equal(together, np.stack([segmenter(image).labels for image in images]))
    scores = [run_theirs(source, x.transpose(2, 0, 1).astype(np.float32) / 255) for x in images]
    expected = np.stack([upsampled(each, (32, 48)).argmax(0) for each in scores])
    assert equal(together, expected)


@pytest.mark.parametrize("net", [Pyramid, Cells, Sum])
def test_a_file_with_sizes_inside_is_not_made_dynamic(net, tmp_path):
    source = theirs(tmp_path / "t.onnx", net(), dynamic=False)
    with pytest.raises(UsageError, match="image size written into its operators"):
        adopt(source, CARD, tmp_path / "a.onnx", options=AdoptOptions(dynamic=True))
    assert not (tmp_path / "a.onnx").exists()


def test_weights_beside_the_file_come_into_the_one_file(tmp_path):
    net = Net()
    model = onnx.load(theirs(tmp_path / "t.onnx", net))
    onnx.save(model, tmp_path / "e.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    adopt(tmp_path / "e.onnx", CARD, tmp_path / "a.onnx")
    (tmp_path / "w.bin").unlink()
    assert equal(Segmenter(tmp_path / "a.onnx", "cpu")(frame()).labels, labels_of(net, frame()))


def channels_last(path, *, dtype=TensorProto.FLOAT, binary=False):
    """As TensorFlow's converter writes: [n, h, w, 3] in, [n, h, w, 4] or [n, h, w] out."""
    rng = np.random.default_rng(0)
    classes = 1 if binary else 4
    weights = rng.standard_normal((classes, 3, 3, 3)).astype(np.float32)
    nodes = [helper.make_node("Transpose", ["x"], ["planes"], perm=[0, 3, 1, 2])]
    if dtype == TensorProto.UINT8:
        nodes.insert(0, helper.make_node("Cast", ["bytes"], ["x"], to=TensorProto.FLOAT))
    nodes.append(helper.make_node("Conv", ["planes", "w"], ["scores"], pads=[1] * 4))
    nodes.append(
        helper.make_node("Squeeze", ["scores", "axis"], ["y"])
        if binary
        else helper.make_node("Transpose", ["scores"], ["y"], perm=[0, 2, 3, 1])
    )
    shape = ["n", "h", "w"] if binary else ["n", "h", "w", 4]
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info(
                "bytes" if dtype == TensorProto.UINT8 else "x", dtype, ["n", "h", "w", 3]
            )
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array([1]), "axis")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_a_file_in_another_precision_is_taken_as_float32(dtype, tmp_path):
    net = Net(last="softmax").to(dtype)
    source = tmp_path / "t.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(),
            (torch.rand(1, 3, 96, 128, dtype=dtype),),
            str(source),
            input_names=["pixels"],
            output_names=["scores"],
            dynamic_axes={"pixels": {0: "n", 2: "h", 3: "w"}},
            dynamo=False,
        )
    adopt(source, CARD, tmp_path / "a.onnx")
    image = frame()
    assert (
        Segmenter(tmp_path / "a.onnx", "cpu")(image).labels == labels_of(net.float(), image)
    ).mean() > 0.999


def run_theirs(path, image):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: image[None]})[0][0]


@pytest.mark.parametrize("binary", [False, True])
def test_channels_last_in_and_out_are_read_off_the_shapes(binary, tmp_path):
    source = channels_last(tmp_path / "t.onnx", binary=binary)
    adopt(source, CARD, tmp_path / "a.onnx")
    scores = run_theirs(source, frame().astype(np.float32) / 255)
    expected = scores > 0 if binary else scores.argmax(-1)
    assert equal(Segmenter(tmp_path / "a.onnx", "cpu")(frame()).labels, expected)


def test_a_file_that_takes_bytes_gets_them_as_they_are(tmp_path):
    source = channels_last(tmp_path / "t.onnx", dtype=TensorProto.UINT8)
    with pytest.raises(UsageError, match="give --normalize none"):
        adopt(source, CARD, tmp_path / "a.onnx")
    adopt(source, Card("bytes", (), InputSpec.raw()), tmp_path / "a.onnx")
    assert equal(
        Segmenter(tmp_path / "a.onnx", "cpu")(frame()).labels, run_theirs(source, frame()).argmax(-1)
    )


def test_of_several_maps_one_must_be_named(tmp_path):
    source = theirs(tmp_path / "t.onnx", Net(last="two"))
    with pytest.raises(
        UsageError, match=r"several outputs .out0: 1x5x96x96 float32, out1: 1x3x96x96.*--output-name"
    ):
        adopt(source, CARD, tmp_path / "a.onnx")
    result = adopt(source, CARD, tmp_path / "a.onnx", options=AdoptOptions(output_name="out1"))
    assert len(result.card.classes) == 3


def test_an_adopted_file_can_be_quantized_without_torch(tmp_path):
    adopt(theirs(tmp_path / "t.onnx"), CARD, tmp_path / "a.onnx")
    frames = [frame(seed=seed) for seed in range(8)]
    result = quantize(
        tmp_path / "a.onnx",
        tmp_path / "q.onnx",
        calibration=frames,
        options=QuantizeOptions(agreement=0.5, allow_slower=True),
    )
    assert result.path.exists()


def broken(path, change):
    model = onnx.load(theirs(path))
    change(model)
    onnx.save(model, path)
    return path


def two_inputs(model):
    model.graph.input.append(helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["n", 1, "h", "w"]))
    convolution = next(node for node in model.graph.node if node.input[0] == "pixels")
    convolution.input[0] = "both"
    model.graph.node.insert(0, helper.make_node("Mul", ["pixels", "depth"], ["both"]))


def custom_operator(model):
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def ranks(model):
    del model.graph.input[0].type.tensor_type.shape.dim[3]


def strings(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING


def quantized(model):
    model.graph.node[0].op_type = "ConvInteger"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            two_inputs,
            "2 inputs .pixels: anyx3xanyxany, depth: anyx1xanyxany., expected scores of one image alone",
        ),
        (custom_operator, "operators that are not ONNX's own .com.example::"),
        (strings, "is string, expected floats, or whole pixels as uint8"),
        (ranks, "has 3 axes, expected an image"),
        (quantized, r"chooses the scales .* for each image \(ConvInteger\), .*adopt its float file"),
    ],
)
def test_what_is_not_a_network_of_one_image_is_refused(change, message, tmp_path):
    with pytest.raises((InputError, UsageError), match=message):
        adopt(broken(tmp_path / "t.onnx", change), CARD, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_a_requested_multiple_is_padded_to(tmp_path):
    options = AdoptOptions(size_multiple=8)
    result = adopt(theirs(tmp_path / "t.onnx"), CARD, tmp_path / "a.onnx", options=options)
    assert result.card.geometry.size_multiple == 8


def test_what_is_not_onnx_or_ours_is_one_line(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"no model at all" * 9)
    with pytest.raises(InputError, match="no ONNX model, or a damaged one"):
        adopt(tmp_path / "x.onnx", CARD, tmp_path / "a.onnx")
    with pytest.raises(InputError, match="cannot read"):
        adopt(tmp_path / "nowhere.onnx", CARD, tmp_path / "a.onnx")


def test_the_command_adopts_without_torch(tmp_path):
    source = theirs(tmp_path / "t.onnx")
    program = (
        "import sys, runpy\nsys.modules['torch'] = None\nsys.argv[0] = 'fcn-edge'\n"
        "runpy.run_module('fcn_edge', run_name='__main__')"
    )
    command = [sys.executable, "-c", program, "adopt", source, "--classes", "5", "-o", tmp_path / "a.onnx"]
    done = subprocess.run([*command, "--normalize", "0-1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "equal to the given file on CPU" in done.stderr
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "nothing states how" in done.stderr


@pytest.mark.parametrize("antialias", [False, True])
def test_resizing_in_numpy_is_that_of_pytorch(antialias):
    x = np.random.default_rng(0).random((1, 2, 11, 23))
    for size in ((30, 41), (5, 7), (4, 40), (11, 23)):
        expected = F.interpolate(torch.from_numpy(x), size, mode="bilinear", antialias=antialias).numpy()
        assert np.abs(resized(x, size, antialias=antialias) - expected).max() < 1e-12


class _Frames(CalibrationDataReader):
    def __init__(self):
        self.left = [np.random.default_rng(i).random((1, 3, 96, 128), np.float32) for i in range(3)]

    def get_next(self):
        return {"pixels": self.left.pop()} if self.left else None


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
def test_a_quantized_file_of_others_keeps_its_integers(form, tmp_path):
    source = theirs(tmp_path / "float.onnx", Net(last="coarse"))
    quantized = tmp_path / "quantized.onnx"
    quantize_static(source, quantized, _Frames(), quant_format=form, per_channel=True)
    result = adopt(quantized, CARD, tmp_path / "a.onnx")
    assert (result.card.precision, result.card.verification.reference) == ("int8", "onnx")
    assert result.card.lowering.integer_share == 1
    before, after = (
        {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer if t.data_type == 3}
        for path in (quantized, result.path)
    )
    assert before
    assert all(any(np.array_equal(ours, each) for ours in after.values()) for each in before.values())
    scores = run_theirs(quantized, frame().transpose(2, 0, 1).astype(np.float32) / 255)
    with Segmenter(result.path, "cpu") as segmenter:
        assert (segmenter(frame()).labels == upsampled(scores, (70, 90)).argmax(0)).mean() > 0.99


def upsampled(scores, size):
    x = torch.from_numpy(scores)[None]
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)[0].numpy()


def test_small_weights_of_others_stay_small(tmp_path):
    source = theirs(tmp_path / "float.onnx", Net(last="coarse"))
    packed = onnx.load(source)
    for constant in [c for c in packed.graph.initializer if len(c.dims) == 4]:
        weight, scale = numpy_helper.to_array(constant), np.float32(0.01)
        small = np.clip(np.rint(weight / scale), -127, 127).astype(np.int8)
        packed.graph.initializer.remove(constant)
        packed.graph.initializer.append(numpy_helper.from_array(small, f"{constant.name}/int8"))
        packed.graph.initializer.append(numpy_helper.from_array(np.array(scale), f"{constant.name}/scale"))
        names = [f"{constant.name}/int8", f"{constant.name}/scale"]
        packed.graph.node.insert(0, onnx.helper.make_node("DequantizeLinear", names, [constant.name]))
    onnx.save(packed, tmp_path / "packed.onnx")
    result = adopt(tmp_path / "packed.onnx", CARD, tmp_path / "a.onnx")
    assert (result.card.precision, result.card.lowering.target) == ("int8-weights", "any")
    assert any(c.data_type == 3 and len(c.dims) == 4 for c in onnx.load(result.path).graph.initializer)
    with Segmenter(result.path, "cpu") as segmenter:
        assert segmenter(frame()).labels.shape == (70, 90)
