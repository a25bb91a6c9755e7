"""What networks return besides one tensor of scores: found, cast, asked for, or refused in one line."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fcn_edge_export import ExportOptions, export, numbered_classes, verify
from fcn_edge_export.outputs import choose_output, pick_output
from fcn_edge_export.probe import Question, probe
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import ArtifactError, FcnEdgeError, UsageError
from fcn_edge_runtime.model.card import Card, InputSpec
from tests.export.networks import Wrapped
from tests.export.public_styles import ValidUNet
from tests.export.test_idioms import seeded

SCORES = torch.zeros(2, 5, 8, 8)


class Two(NamedTuple):
    features: Any
    logits: Any


class Holder:
    def __init__(self, **values):
        self.__dict__.update(values)


def body(classes=4):
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, classes, 1))


def exported(net, folder, classes=(), **options):
    card = Card("net", classes, InputSpec.unit())
    return export(net, card, folder / "net.onnx", options=ExportOptions(trained=False, **options))


def labels_of(scores):
    return scores.argmax(1) if scores.shape[1] > 1 else (scores[:, 0] > 0).long()


def agrees(net, result, size=(61, 83)):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad(), Segmenter(result.path) as segmenter:
        return (segmenter(image).labels == labels_of(net(x))[0].numpy()).mean() > 0.999


@pytest.mark.parametrize(
    ("output", "name"),
    [
        (SCORES, ""),
        ({"sem_seg": SCORES, "depth": SCORES[:, :1]}, "sem_seg"),
        ({"seg": SCORES, "features": SCORES}, "seg"),
        ({"whatever": SCORES}, "whatever"),
        (({"aux": SCORES, "out": SCORES},), "0.out"),
        (Two(SCORES, SCORES), "logits"),
        (Holder(scores=SCORES, loss=None), "scores"),
        (Holder(logits=SCORES, hidden=SCORES), "logits"),
        ([[SCORES], torch.zeros(2, 7)], "0.0"),
    ],
)
def test_the_logits_are_found_by_name_or_as_the_only_map(output, name):
    assert choose_output(output, size=(8, 8)) == name
    assert pick_output(output, name).shape == (2, 5, 8, 8)


def test_several_alike_are_asked_for_with_their_shapes():
    with pytest.raises(UsageError, match=r"2 maps \(0: 2x5x8x8, 1: 2x5x8x8\).*--output-name"):
        choose_output([SCORES, SCORES], size=(8, 8))


def test_the_out_of_an_auxiliary_head_is_not_the_logits():
    with pytest.raises(UsageError, match=r"2 maps \(main: .*, aux\.out: "):
        choose_output({"main": SCORES, "aux": {"out": SCORES}}, size=(8, 8))


def test_tokens_are_no_map():
    with pytest.raises(ArtifactError, match="expected logits"):
        choose_output(torch.zeros(2, 197, 64), size=(224, 224))


def test_one_score_a_pixel_needs_no_axis_of_classes(tmp_path):
    net = seeded(lambda: Wrapped(body(1), lambda y: y[:, 0]))
    result = exported(net, tmp_path)
    assert len(result.card.classes) == 2
    assert agrees(Wrapped(net, lambda y: y[:, None]), result)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.sampled(1)
def test_scores_of_another_type_are_cast(tmp_path, dtype):
    net = seeded(lambda: Wrapped(body(), lambda y: y.to(dtype)))
    assert agrees(net, exported(net, tmp_path))


def test_scores_of_twice_the_size_are_reduced(tmp_path):
    net = seeded(lambda: Wrapped(body(), lambda y: F.interpolate(y, scale_factor=2.0)))
    result = exported(net, tmp_path)
    assert agrees(Wrapped(net, lambda y: F.interpolate(y, scale_factor=0.5, mode="bilinear")), result)


def test_labels_for_scores_are_refused_with_the_way_out(tmp_path):
    net = Wrapped(seeded(body), lambda y: y.argmax(1))
    with pytest.raises(UsageError, match=r"class ids .*1x96x96.*--take-labels"):
        exported(net, tmp_path)
    with pytest.raises(UsageError, match="no classes"):
        exported(net, tmp_path, activation="argmax")
    with pytest.raises(UsageError, match="output labels alone"):
        exported(net, tmp_path, activation="argmax", outputs=("labels", "confidence"))


def test_labels_are_taken_as_they_are_by_request(tmp_path):
    net = seeded(body)
    labels = Wrapped(net, lambda y: y.argmax(1, keepdim=True))
    result = exported(labels, tmp_path, numbered_classes(4), activation="argmax")
    assert result.card.net.activation == "argmax"
    assert agrees(net, result)
    assert verify(result.path, labels).verdicts[0].passed


class Printing(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = body()

    def forward(self, x):
        print("shape", x.shape)
        return self.body(x)


def test_what_a_network_prints_is_not_shown(tmp_path, capfd):
    exported(seeded(Printing), tmp_path)
    assert capfd.readouterr() == ("", "")


class WithAnUnusedLayer(nn.Module):
    def __init__(self, *, used):
        super().__init__()
        self.body = body()
        self.aux = nn.LazyConv2d(4, 1)
        self.used = used

    def forward(self, x):
        return self.aux(x) if self.used else self.body(x)


def test_a_layer_that_was_never_run_is_left_out(tmp_path):
    net = seeded(lambda: WithAnUnusedLayer(used=False))
    assert agrees(net, exported(net, tmp_path))


def test_a_layer_without_weights_is_a_one_line_error(tmp_path):
    with pytest.raises(FcnEdgeError, match="weight") as caught:
        exported(seeded(lambda: WithAnUnusedLayer(used=True)), tmp_path)
    assert "\n" not in str(caught.value)


class IgnoresItsImage(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.scores = nn.Parameter(torch.randn(1, 4, *shape))

    def forward(self, x):
        return self.scores.expand(x.shape[0], 4, *x.shape[2:]) if self.scores.shape[-1] == 1 else self.scores


def test_a_network_that_ignores_its_image_is_a_one_line_error(tmp_path):
    for shape in ((1, 1), (96, 96)):
        with pytest.raises(FcnEdgeError) as caught:
            exported(IgnoresItsImage(shape), tmp_path)
        assert "\n" not in str(caught.value)


class Spread(nn.Module):
    """Divides by the deviation of the map, which is NaN for one pixel."""

    def __init__(self):
        super().__init__()
        self.body = body()

    def forward(self, x):
        return self.body(x / x.std((2, 3), keepdim=True))


def test_sizes_at_which_pytorch_gives_nan_are_too_small():
    assert probe(seeded(Spread), 3).smallest == 2


def test_the_smallest_size_can_be_stated(tmp_path):
    assert probe(seeded(body), 3, Question(smallest=20)).smallest == 20
    result = exported(seeded(body), tmp_path, smallest=(20, 30))
    assert result.card.geometry.smallest_size == 30


def test_a_network_that_does_not_pad_needs_a_border(tmp_path):
    with pytest.raises(ArtifactError, match=r"80x80 for an image of 96x96.*--border reflect"):
        exported(seeded(ValidUNet), tmp_path)


@pytest.mark.parametrize("border", ["reflect", "edge"])
@pytest.mark.slow
def test_a_network_that_does_not_pad_labels_the_whole_image(tmp_path, border):
    net = seeded(ValidUNet)
    result = exported(net, tmp_path, border=border)
    assert result.card.net.border == border
    image = np.random.default_rng(0).integers(0, 256, (61, 84, 3), np.uint8)
    padded = np.pad(image, ((8, 9), (8, 8), (0, 0)), border)
    with torch.no_grad(), Segmenter(result.path) as segmenter:
        x = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
        expected = net(x).argmax(1)[0, :61, :84].numpy()
        assert (segmenter(image).labels == expected).mean() > 0.999
    assert verify(result.path, net).verdicts[0].passed


class DecidesByValues(nn.Module):
    def __init__(self):
        super().__init__()
        self.bright, self.dark = body(), body()

    def forward(self, x):
        if x.mean() > 0.5:
            return self.bright(x)
        return self.dark(x)


class LoopsByValues(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = body()

    def forward(self, x):
        for _ in range(int(x.abs().max().item())):
            x = x * 0.9
        return self.body(x)


@pytest.mark.parametrize(
    ("build", "line"), [(DecidesByValues, r"if x\.mean"), (LoopsByValues, r"for _ in range")]
)
def test_a_decision_by_values_is_one_line_with_its_code(tmp_path, capfd, build, line):
    with pytest.raises(ArtifactError, match=rf"by the values .*test_outputs\.py:\d+: {line}") as caught:
        exported(seeded(build), tmp_path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_network_of_several_images_is_told_of_its_option(tmp_path):
    class Two(nn.Module):
        def forward(self, rgb, depth):
            return rgb + depth

    with pytest.raises(ArtifactError, match=r"missing 1 .*--inputs rgb:3,depth:1$"):
        exported(Two(), tmp_path)
