import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from fcn_edge.nets import build
from fcn_edge_export import export, verify
from fcn_edge_export.graph.working_size import fitted, parse_working_size
from fcn_edge_export.lowering.quantize import quantize
from fcn_edge_export.options import ExportOptions, QuantizeOptions
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import UsageError, VerificationError
from fcn_edge_runtime.model.card import Card, InputSpec
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.selftest import run_selftest
from fcn_edge_runtime.session.session import open_session
from tests.export import networks
from tests.export.parents import blocks

CARD = Card("net", (), InputSpec.default())
ALL = ("labels", "confidence", "probabilities", "logits")


def made(net, folder, text, **options):
    return export(net, CARD, folder / "net.onnx", options=ExportOptions(working_size=text, **options))


def by_hand(net, frame, size, *, coarse=False, multiple=1):
    """Logits in plain PyTorch, by the words of the reference's docstring."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (networks.MEAN, networks.STD))
    x = (torch.from_numpy(frame).permute(2, 0, 1)[None] / 255 - mean) / std
    x = F.interpolate(x, size=size, mode="bilinear", antialias=True)
    with torch.no_grad():
        if coarse:
            scores = net.head(net.body(x))
        else:
            pad = (0, -size[1] % multiple, 0, -size[0] % multiple)
            scores = net(F.pad(x, pad, mode="replicate"))[..., : size[0], : size[1]]
        return F.interpolate(scores, size=frame.shape[:2], mode="bilinear", align_corners=False).numpy()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A network that ends in bilinear upsampling, at half the size, with every output."""
    net = networks.seeded(networks.Plain)
    return net, made(net, tmp_path_factory.mktemp("plain"), "0.5x", outputs=ALL)


def logits_of(path, frame):
    with ModelFile.open(path) as file:
        return open_session(file, "cpu").run(frame[None], ["logits"])["logits"]


@pytest.mark.parametrize("size", [(75, 133), (64, 96), (1, 1), (2, 7), (9, 2)])
def test_coarse_logits_go_straight_to_the_images_size(plain, size):
    net, result = plain
    frame = blocks(*size)
    working = tuple(max(2, (side + 1) // 2) for side in size)
    expected = by_hand(net, frame, working, coarse=True)
    assert np.abs(logits_of(result.path, frame) - expected).max() < 1e-4 * np.abs(expected).max()
    assert result.card.working_size.coarse


def test_the_network_really_works_on_a_quarter_of_the_pixels(plain):
    model = onnx.load(plain[1].path)
    model.graph.output.append(onnx.ValueInfoProto(name="normalized"))
    session = open_session(model.SerializeToString(), "cpu")
    assert session.run(blocks(75, 133)[None], ["normalized"])["normalized"].shape == (1, 3, 38, 67)


@pytest.mark.slow
def test_a_network_of_multiples_works_on_a_padded_image(tmp_path):
    net = networks.seeded(networks.OnlyMultiplesOfEight)
    result = made(net, tmp_path, "0.5x", outputs=("labels", "logits"))
    for size in ((75, 133), (9, 200)):
        frame = blocks(*size)
        expected = by_hand(net, frame, tuple((side + 1) // 2 for side in size), multiple=8)
        got = logits_of(result.path, frame)
        assert np.abs(got - expected).max() < 1e-4 * np.abs(expected).max()
    assert not result.card.working_size.coarse
    assert result.card.geometry.size_multiple == 8


@pytest.mark.slow
def test_a_fixed_working_size_is_the_same_for_every_image(tmp_path):
    net = networks.seeded(networks.Plain)
    result = made(net, tmp_path, "40x56", outputs=("labels", "logits"))
    for size in ((90, 121), (13, 200), (1, 1)):
        frame = blocks(*size)
        expected = by_hand(net, frame, (40, 56), coarse=True)
        assert np.abs(logits_of(result.path, frame) - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.slow  # a U-Net at 512x512 on each input
def test_a_fixed_working_size_far_above_the_image_is_no_attack(tmp_path):
    path = made(build("fcn_unet", num_classes=3), tmp_path, "512x512").path
    with Segmenter(path, "cpu") as segmenter:
        assert segmenter(np.zeros((20, 30, 3), np.uint8)).labels.shape == (20, 30)


def test_the_card_holds_the_working_size_as_numbers(plain):
    _, result = plain
    with ModelFile.open(result.path) as file:
        card = file.card
    assert card.to_dict()["schema"] == "fcn-edge-card/1"
    assert json.loads(card.to_json())["working_size"] == {
        "fraction": [1, 2],
        "size": None,
        "least": 2,
        "coarse": True,
    }
    assert (str(card.working_size), card.working_size.of(75, 133)) == ("0.5x", (38, 67))
    assert card.geometry.stride == 8  # 4 working pixels
    assert card.geometry.smallest_size == 1


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(networks.Plain, marks=pytest.mark.slow),
        pytest.param(networks.OnlyMultiplesOfEight, marks=pytest.mark.slow),
    ],
)
def test_sparse_and_dense_heads_agree_at_a_working_size(tmp_path, kind):
    net = networks.seeded(kind)
    found = []
    for head in ("dense", "sparse", "auto"):
        result = made(net, tmp_path, "0.5x", head=head)
        with Segmenter(result.path) as segmenter:
            found.append([segmenter(blocks(*size)).labels for size in ((75, 133), (1, 1), (40, 20))])
    for others in zip(*found, strict=True):
        assert all(np.array_equal(others[0], other) for other in others)


def test_verify_knows_the_working_size_by_the_card(plain):
    net, result = plain
    again = verify(result.path, net)
    assert again.digest == result.digest
    with pytest.raises(VerificationError):
        verify(result.path, networks.seeded(networks.Plain, seed=9))


def test_the_self_test_passes_and_is_not_blind(plain):
    with ModelFile.open(plain[1].path) as file:
        report = run_selftest(open_session(file, "cpu"), file.card, file.golden)
    assert report.passed
    assert not report.blind


def test_confidence_belongs_to_the_upsampled_logits(plain):
    frame = blocks(61, 83)
    with ModelFile.open(plain[1].path) as file:
        got = open_session(file, "cpu").run(frame[None])
    odds = np.exp(got["logits"] - got["logits"].max(axis=1, keepdims=True))
    shares = odds / odds.sum(axis=1, keepdims=True)
    assert np.abs(got["probabilities"] - shares).max() < 1e-5
    assert np.abs(got["confidence"] - shares.max(axis=1)).max() < 1e-5
    assert np.array_equal(got["labels"], got["logits"].argmax(axis=1))


@pytest.mark.slow
def test_a_file_with_a_working_size_can_be_quantized(tmp_path):
    net = networks.seeded(networks.Plain)
    parent = made(net, tmp_path, "0.5x")
    frames = {f"{i}": (lambda i=i: blocks(96, 128, seed=i)) for i in range(20)}
    child = quantize(
        parent.path,
        tmp_path / "int8.onnx",
        lambda _: frames,
        options=QuantizeOptions(allow_slower=True, agreement=0.9),
    )
    assert str(child.card.working_size) == "0.5x"
    assert child.float_products == ()


@pytest.mark.parametrize(
    "text",
    [
        "0x",
        "0.0x",
        "1x",
        "2x",
        "3x",
        "0.01x",
        "-0.5x",
        "x",
        "half",
        "0x0",
        "0x320",
        "240x",
        "4097x10",
        "9e9x1",
    ],
)
def test_an_invalid_working_size_is_a_usage_error(text):
    with pytest.raises(UsageError, match=r"expected a fraction from 0.05x to below 1x.*HEIGHTxWIDTH"):
        parse_working_size(text)


def test_no_working_side_is_below_the_smallest_of_the_network():
    with pytest.raises(UsageError, match="expected sides of at least 33"):
        fitted(parse_working_size("32x64"), 33)
    assert fitted(parse_working_size("0.5x"), 33).of(40, 200) == (33, 100)


def test_facts_of_the_exporter_are_not_taken_from_a_users_card(tmp_path):
    card = replace(CARD, working_size=parse_working_size("0.5x"), head="sparse", precision="int8")
    result = export(networks.seeded(networks.Plain), card, tmp_path / "net.onnx")
    assert (result.card.working_size, result.card.head, result.card.precision) == (None, "dense", "fp32")


@pytest.mark.slow
def test_the_command_refuses_a_bad_working_size_before_any_work(tmp_path):
    command = [sys.executable, "-m", "fcn_edge", "export", "fcn_tiny", "--weights", "random:1"]
    out = tmp_path / "x.onnx"
    done = subprocess.run([*command, "-o", out, "--working-size", "3x"], capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "got the working size '3x'" in done.stderr
    for index in range(4):
        Image.fromarray(blocks(64, 96, seed=index)).save(tmp_path / f"{index}.png")
    rest = ["--working-size", "0.5x", "--head", "auto", "--images", tmp_path, "--json", "-q", "-o", out]
    done = subprocess.run([*command, *map(str, rest)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["card"]["working_size"]["fraction"] == [1, 2]
