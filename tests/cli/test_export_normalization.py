"""How pixels become the input of a user's own network is stated by the user, shown, and checked."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fcn_edge.workflows import Request, plan_export

NET = """
from torch import nn


def build(channels: int = 3):
    return nn.Conv2d(channels, 4, 1)
"""
IMAGENET = "x = (pixel / 255 - [0.485 0.456 0.406]) / [0.229 0.224 0.225]"


@pytest.fixture
def export(fcn_edge, tmp_path):
    """Export the user's own network, or another, with these options."""
    (tmp_path / "mynet.py").write_text(NET)

    def run(*words, net="./mynet.py:build", weights="random:3"):
        return fcn_edge("export", net, "--weights", weights, "-o", "my.onnx", "-q", *words)

    return run


@pytest.mark.parametrize("words", [(), ("--set", "channels=1", "--channels", "1")], ids=["rgb", "gray"])
def test_an_own_network_is_not_built_before_its_input_is_stated(export, tmp_path, words):
    (tmp_path / "mynet.py").write_text(NET.replace("    return", "    open('built', 'w')\n    return"))
    done = export(*words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    for choice in (
        "--normalize",
        f"imagenet ({IMAGENET})",
        "0-1 (x = pixel / 255)",
        "none (x = pixel)",
        "MEAN/STD",
    ):
        assert choice in done.stderr
    assert not (tmp_path / "built").exists()
    assert not (tmp_path / "my.onnx").exists()


def test_a_card_with_classes_alone_states_no_normalization(export, tmp_path):
    (tmp_path / "card.toml").write_text("classes = ['a', 'b', 'c', 'd']\n[input]\ndtype = 'uint8'\n")
    assert export("--card", "card.toml").returncode == 2


@pytest.mark.parametrize(
    ("given", "formula", "scale", "mean", "std"),
    [
        ("imagenet", IMAGENET, 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        pytest.param("0-1", "x = pixel / 255", 1 / 255, 0, 1, marks=pytest.mark.slow),
        pytest.param("none", "x = pixel", 1, 0, 1, marks=pytest.mark.slow),
        pytest.param(
            "0.5/0.25", "x = (pixel / 255 - 0.5) / 0.25", 1 / 255, 0.5, 0.25, marks=pytest.mark.slow
        ),
        ("0.1,0.2,0.3/1", "x = (pixel / 255 - [0.1 0.2 0.3])", 1 / 255, (0.1, 0.2, 0.3), 1),
    ],
)
@pytest.mark.sampled(1)
def test_the_file_computes_what_normalize_states(export, tmp_path, given, formula, scale, mean, std):
    import torch

    import fcn_edge as product
    from fcn_edge_runtime import Segmenter

    done = export("--normalize", given, "--outputs", "labels,logits")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"input  {formula}   from: --normalize {given}"
    torch.manual_seed(3)
    net = product.build(f"{tmp_path / 'mynet.py'}:build").eval()
    image = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    x = torch.from_numpy((image * scale - np.array(mean)) / np.array(std)).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        expected = net(x)[0].numpy()
    with Segmenter(tmp_path / "my.onnx", outputs=("labels", "logits")) as segmenter:
        assert np.allclose(segmenter(image).logits, expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.slow
def test_json_holds_the_formula_and_where_it_came_from(export):
    found = json.loads(export("--normalize", "0-1", "--json").stdout)
    assert found["normalization"] == {"formula": "x = pixel / 255", "from": "--normalize 0-1"}


def test_the_resolution_of_the_training_data_is_on_the_card(tmp_path):
    (tmp_path / "mynet.py").write_text(NET)
    net = f"{tmp_path / 'mynet.py'}:build"
    plan = plan_export(Request(net, "random:3", normalize="0-1", resolution=0.3))
    assert plan.card.input.resolution == 0.3
    assert plan.card.input.std == (1.0, 1.0, 1.0)


@pytest.mark.slow
def test_a_card_that_states_mean_and_std_is_enough(export, tmp_path):
    (tmp_path / "card.toml").write_text("[input]\nmean = 0.5\nstd = 0.5\n")
    done = export("--card", "card.toml")
    assert done.stdout.startswith("input  x = (pixel / 255 - 0.5) / 0.5   from: card card.toml\n")
    twice = export("--card", "card.toml", "--normalize", "0-1")
    assert twice.returncode == 2
    assert "given twice" in twice.stderr


@pytest.mark.slow
def test_a_registry_network_keeps_and_shows_its_default(export):
    assert export(net="fcn_tiny").stdout.startswith(f"input  {IMAGENET}   from: default\n")


@pytest.mark.slow
def test_a_recipe_states_it_and_a_card_without_keeps_it(fcn_edge, tmp_path):
    (tmp_path / "card.toml").write_text("description = 'mine'\n")
    for words in ((), ("--card", "card.toml")):
        done = fcn_edge("export", "corridor", "-o", "c.onnx", "-q", *words)
        assert done.stdout.startswith(f"input  {IMAGENET}   from: recipe corridor\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mean = [123.675, 116.28, 103.53]\nstd = [58.395, 57.12, 57.375]", "123.675 / 255 = 0.485"),
        ("mean = 0\nstd = 255", "255 / 255 = 1"),
        ("mean = [104, 117, 123]\nstd = 1", "104 / 255 = 0.4078"),
        ("dtype = 'uint16'\nmean = 30000\nstd = 9000", "30000 / 65535 = 0.4578"),
        ("mean = 1.5\nstd = 0.5", "a mean of 1.5"),
        ("mean = -0.5\nstd = 0.5", "a mean of -0.5"),
        ("scale = 0.1\nmean = 30\nstd = 1", "scaled 0 to 25.5"),
        ("scale = 1\nmean = 0.485\nstd = 0.229", "leave the scale at 1/255"),
        ("mean = 0.5", "std"),
        ("std = 0.5", "mean"),
    ],
)
@pytest.mark.sampled(2)
def test_mean_and_std_of_another_scale_are_refused(export, tmp_path, text, says):
    (tmp_path / "card.toml").write_text(f"[input]\n{text}\n")
    done = export("--card", "card.toml")
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "my.onnx").exists()


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("scale = 1\nmean = [104, 117, 123]\nstd = 1", "x = (pixel - [104 117 123])"),
        pytest.param(
            "scale = 0.00784313725490196\nmean = 1\nstd = 1",
            "x = (pixel * 0.00784314 - 1)",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "dtype = 'float32'\nmean = 123\nstd = 58", "x = (pixel - 123) / 58", marks=pytest.mark.slow
        ),
        (
            "dtype = 'uint16'\nscale = 0.000244200244\nmean = 0.5\nstd = 0.25",
            "x = (pixel / 4095 - 0.5) / 0.25",
        ),
    ],
)
@pytest.mark.slow
def test_mean_and_std_of_scaled_pixels_are_taken(export, tmp_path, text, formula):
    (tmp_path / "card.toml").write_text(f"[input]\n{text}\n")
    done = export("--card", "card.toml")
    assert done.stdout.startswith(f"input  {formula}   from: card card.toml\n"), done.stderr


def test_in_python_numbers_of_another_scale_are_refused_too(tmp_path):
    import fcn_edge as product

    spec = product.InputSpec(3, "uint8", 1 / 255, (123.675,) * 3, (58.395,) * 3)
    net = product.build("fcn_tiny", num_classes=2).eval()
    with pytest.raises(product.UsageError, match=r"123\.675 / 255 = 0\.485"):
        product.export(net, product.Card("x", input=spec), tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_known_checkpoint_states_its_own_input():
    from fcn_edge.workflows import Request, plan_export

    plan = plan_export(Request("fcn_resnet50", "folder/fcn_resnet50_coco-1167a1af.pth"))
    assert plan.source == "checkpoint fcn_resnet50_coco"
    assert plan.card.input.formula == IMAGENET
