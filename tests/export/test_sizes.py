"""Networks that depend on the size of their input: exported right, within a declared range, or refused."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fcn_edge_export import ExportOptions, export, numbered_classes, verify
from fcn_edge_export.probe import probe
from fcn_edge_runtime import Card, InputError, Segmenter, UsageError, VerificationError
from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.model.card import InputSpec
from tests.export import sized

SPEC = InputSpec.default(3)


def exported(net, folder, classes=(), **options):
    card = Card("net", classes, SPEC)
    return export(net.eval(), card, folder / "net.onnx", options=ExportOptions(trained=False, **options))


def seeded(build):
    torch.manual_seed(0)
    return build()


def labels_of(net, image):
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (SPEC.mean, SPEC.std))
    x = (torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 - mean) / std
    with torch.no_grad():
        return net.eval()(x).argmax(1)[0].numpy()


def picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("build", "largest", "line"),
    [
        (sized.Height, (400, 4096), "if x.shape[2] > 400"),
        (sized.Area, (400, 400), "if height * width > 400 * 400:"),
        (sized.HalfAbove, (512, 512), "if max(x.shape[-2:]) <= 512:"),
        (sized.Table, (259, 4096), "height // 4"),
        (sized.Between, (500, 4096), "if 500 < x.shape[2] < 600"),
        (sized.Band, (499, 4096), "if x.shape[2] // 100 == 5"),
        (sized.OneHeight, (776, 4096), "if x.shape[2] == 777"),
        (sized.OneSum, (500, 499), "if x.shape[2] + x.shape[3] == 1000"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
@pytest.mark.sampled(1)
def test_a_branch_beyond_a_size_becomes_the_range_of_the_file(tmp_path, build, largest, line):
    net = seeded(build)
    result = exported(net, tmp_path)
    assert result.card.geometry.largest_size == largest
    assert line in next(stage.summary for stage in result.stages if stage.name == "sizes")
    height, width = largest[0], min(largest[1], 500)
    with Segmenter(result.path) as segmenter:
        image = picture(height, width)
        assert (segmenter(image).labels == labels_of(net, image)).mean() > 0.999
        with pytest.raises(InputError, match=f"is {height + 1} high .* expected at most {height} high"):
            segmenter(picture(height + 1, width))
    verified = [size[1:] for size in result.card.verification.sizes]
    assert all(h <= largest[0] and w <= largest[1] for h, w in verified)
    assert verify(result.path, net).verdicts[0].passed
    with pytest.raises(UsageError, match="expected at most"):
        exported(net, tmp_path, sizes=[(height + 1, width)])


def test_a_branch_beyond_the_verified_sizes_limits_the_file(tmp_path):
    net = seeded(sized.Far)
    result = exported(net, tmp_path)
    assert result.card.geometry.largest_size == (4096, 4096)
    with Segmenter(result.path) as segmenter, pytest.raises(InputError, match="at most 4096 high and 4096"):
        segmenter(picture(33, 5001))


def test_a_branch_for_small_images_ends_where_others_begin(tmp_path):
    net = seeded(sized.Small)
    result = exported(net, tmp_path)
    geometry = result.card.geometry
    assert (geometry.smallest_size, geometry.largest_size) == (200, None)
    with Segmenter(result.path) as segmenter:
        image = picture(200, 333)
        assert (segmenter(image).labels == labels_of(net, image)).mean() > 0.999
        with pytest.raises(InputError, match="199"):
            segmenter(picture(199, 333))


def test_a_network_of_small_images_alone_keeps_their_range(tmp_path):
    assert exported(seeded(sized.ShortTable), tmp_path).card.geometry.largest_size == (163, 4096)


@pytest.mark.parametrize("build", [sized.Parity, sized.Aspect, sized.Loop], ids=lambda b: b.__name__)
@pytest.mark.sampled(1)
def test_a_condition_without_a_range_is_refused_with_its_line(tmp_path, build):
    with pytest.raises(VerificationError, match=r"depends on the size .*sized\.py:\d+: (return|for) .*at 1x"):
        exported(seeded(build), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_condition_on_the_batch_is_refused_by_its_axis(tmp_path):
    with pytest.raises(ArtifactError, match="fixes the batch of its input to 2"):
        exported(seeded(sized.Batch), tmp_path)


def test_a_condition_that_changes_nothing_costs_nothing(tmp_path):
    result = exported(seeded(sized.PadsWhereNeeded), tmp_path)
    assert result.card.geometry.largest_size is None


@pytest.mark.parametrize(
    ("mode", "factor", "align_corners"),
    [
        ("nearest", 0.7, None),
        ("nearest-exact", 0.7, None),
        ("bilinear", 0.7, False),
        ("bilinear", 1.3, True),
        ("bilinear", (0.3, 0.9), False),
        ("area", 0.7, None),
        ("nearest", 2.0, None),
        ("bilinear", 0.5, False),
    ],
)
@pytest.mark.slow
def test_scale_factors_give_the_sizes_that_pytorch_computes(tmp_path, mode, factor, align_corners):
    net = seeded(lambda: sized.Scaled(mode, factor, align_corners=align_corners))
    result = exported(net, tmp_path, sizes=[(360, 680), (720, 560)])
    assert result.card.geometry.largest_size is None
    with Segmenter(result.path) as segmenter:
        image = picture(720, 560)
        assert (segmenter(image).labels == labels_of(net, image)).mean() > 0.999


@pytest.mark.slow
def test_real_sizes_and_drawn_ones_are_always_verified(tmp_path):
    nets = (sized.CoarseGrid(), sized.PadsWhereNeeded())
    sizes = [exported(net, tmp_path).card.verification.sizes for net in nets]
    for size in ((1, 480, 640), (1, 720, 1280), (1, 33, 2049)):
        assert all(size in each for each in sizes)
    assert set(sizes[0]) != set(sizes[1])  # two are drawn from the weights


def test_logits_on_a_coarser_grid_are_found_out_and_padded_for(tmp_path):
    result = exported(seeded(sized.CoarseGrid), tmp_path)
    assert result.card.geometry.size_multiple == 16


@pytest.mark.parametrize("form", ["h,a", "d,h", "f,h", "{head,aux}"])
def test_several_maps_are_a_question_that_lists_them(tmp_path, form):
    with pytest.raises(UsageError, match=r"returns 2 maps \(.*1x.*\), and nothing says which.*--output-name"):
        exported(seeded(lambda: sized.Several(form)), tmp_path)


@pytest.mark.parametrize(("form", "name"), [("h,a", "0"), ("d,h", "1"), ("{head,aux}", "head")])
@pytest.mark.slow
def test_the_named_map_is_taken_and_verified_again(tmp_path, form, name):
    net = seeded(lambda: sized.Several(form))
    result = exported(net, tmp_path, output_name=name)
    assert result.card.net.output == name
    assert result.card.classes[-1].id == 3
    assert verify(result.path, net).verdicts[0].passed


def test_the_classes_of_the_card_tell_which_map_is_meant(tmp_path):
    result = exported(seeded(lambda: sized.Several("f,h,d")), tmp_path, numbered_classes(4))
    assert result.card.net.output == "1"
    with pytest.raises(UsageError, match="has no output '7' that is a map, it has 0: 1x16x96x96"):
        exported(seeded(lambda: sized.Several("f,h")), tmp_path, output_name="7")


@pytest.mark.slow
def test_a_sigmoid_inside_is_refused_or_thresholded_at_a_half(tmp_path):
    net = seeded(lambda: sized.Activated(1, nn.Sigmoid()))
    with pytest.raises(UsageError, match=r"never below 0 .*Sigmoid.*--activation sigmoid"):
        exported(net, tmp_path)
    result = exported(net, tmp_path, activation="sigmoid", outputs=("labels", "confidence"))
    image = picture(61, 83)
    with torch.no_grad(), Segmenter(result.path) as segmenter:
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (SPEC.mean, SPEC.std))
        p = net((torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 - mean) / std)[0, 0].numpy()
        got = segmenter(image)
        assert ((p > 0.5) == got.labels).mean() > 0.999
        assert np.abs(np.maximum(p, 1 - p) - got.confidence).max() < 1e-5
    assert verify(result.path, net).verdicts[0].passed


@pytest.mark.slow
def test_a_softmax_inside_is_refused_with_confidence_requested(tmp_path):
    net = seeded(lambda: sized.Activated(4, nn.Softmax(dim=1)))
    assert exported(net, tmp_path).card.net.activation == "none"  # labels do not depend on it
    with pytest.raises(UsageError, match=r"returns probabilities .*Softmax.*--activation softmax"):
        exported(net, tmp_path, outputs=("labels", "confidence"))
    assert exported(net, tmp_path, outputs=("labels", "confidence"), activation="softmax").card is not None


@pytest.mark.slow
def test_a_network_that_fails_at_large_images_gets_a_way_out(tmp_path):
    with pytest.raises(InputError, match=r"PyTorch cannot run pattern .* out of bounds.*: --working-size "):
        exported(seeded(sized.IndexedTable), tmp_path)
    exported(seeded(sized.IndexedTable), tmp_path, working_size="96x128")


@pytest.mark.parametrize(("side", "reduction"), [(2, 7), (4, Fraction(7, 2)), (8, Fraction(7, 4))])
def test_patches_of_14_pixels_have_any_number_of_logits(side, reduction):
    found = probe(sized.PatchesOf14(side), 3)
    assert (found.multiple, found.smallest, found.reduction, found.fixed) == (14, 14, reduction, None)


@pytest.mark.slow
def test_logits_of_patches_of_14_pixels_become_labels(tmp_path):
    net = seeded(lambda: sized.PatchesOf14(8))
    exported(net, tmp_path)
    with Segmenter(tmp_path / "net.onnx") as segmenter, torch.no_grad():
        for height, width in ((112, 140), (42, 266)):
            image = picture(height, width)
            mean, std = (np.array(values) for values in (SPEC.mean, SPEC.std))
            x = torch.from_numpy(((image / 255 - mean) / std).astype(np.float32)).permute(2, 0, 1)[None]
            logits = F.interpolate(net(x), (height, width), mode="bilinear")
            assert (segmenter(image).labels == logits.argmax(1)[0].numpy()).mean() > 0.9999
