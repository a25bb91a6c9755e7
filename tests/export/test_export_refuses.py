"""The verdict refuses: a network that differs while it is traced gets no file.

Each fault is what a converter, a recipe or a careless line really gets wrong. The faults happen inside
torch.export (`networks.Traced`), so everything from the network to the folder is real.
"""

from __future__ import annotations

import os
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fcn_edge_export import export
from fcn_edge_runtime.errors import ArtifactError, VerificationError
from fcn_edge_runtime.model.card import Card, InputSpec
from tests.export import networks
from tests.export.networks import MEAN, STD, Plain, Traced, changed, per_channel, seeded


def card():
    return Card("faulty", (), InputSpec.default())


def renormalized(x, pixels=1.0, mean=MEAN, std=STD):
    """x as it would be with other normalization constants on the same pixels."""
    image = x * per_channel(STD) + per_channel(MEAN)
    return (image * pixels - per_channel(mean)) / per_channel(std)


def epsilon(module, value=1e-3):
    if isinstance(module, nn.BatchNorm2d):
        module.eps = value


def align_corners(module):
    if isinstance(module, Plain):
        module.align_corners = True


def nan_weight(module):
    if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
        with torch.no_grad():
            module.weight[2, 3] = float("nan")


def biased(module):
    """One class favored by one percent of the logits' amplitude, which is about 4."""
    if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
        with torch.no_grad():
            module.bias[1] += 0.04


def first_of_batch(logits):
    return logits[:1].expand_as(logits)


SIZE = r"\d+x\d+x\d+"
FAULTS = {
    "a baked output size": (
        lambda net: Traced(net, after=partial(F.interpolate, size=(51, 53), mode="bilinear")),
        rf"at pattern {SIZE}, rule 'shape': got labels .* \(stage: trace\)",
    ),
    "a flipped align_corners": (
        lambda net: Traced(net, instead=changed(net, align_corners)),
        rf"at pattern {SIZE}, pixel \(.*\), rule 'numbers': .*allowed .* \(stage: trace\)",
    ),
    "/256 for /255": (
        lambda net: Traced(net, before=partial(renormalized, pixels=255 / 256)),
        "rule 'numbers'.*stage: trace",
    ),
    "std .224 for .225": (
        lambda net: Traced(net, before=partial(renormalized, std=(0.229, 0.224, 0.224))),
        "rule 'numbers'.*stage: trace",
    ),
    "swapped mean and std": (
        lambda net: Traced(net, before=partial(renormalized, mean=STD, std=MEAN)),
        "rule 'numbers'.*stage: trace",
    ),
    "RGB and BGR swapped": (
        lambda net: Traced(net, before=lambda x: x.flip(1)),
        "rule 'numbers'.*stage: trace",
    ),
    "another batch norm epsilon": (
        lambda net: Traced(net, instead=changed(net, epsilon)),
        "rule 'numbers'.*stage: trace",
    ),
    "a class bias of 1 %": (
        lambda net: Traced(net, instead=changed(net, biased)),
        "rule 'numbers'.*stage: trace",
    ),
    "a batch that repeats its first image": (
        lambda net: Traced(net, after=first_of_batch),
        r"[0-9]+ of 13 inputs differ.* pattern [23]x\d+x\d+, pixel .*rule 'numbers'.*stage: trace",
    ),
    "a NaN weight while traced": (
        lambda net: Traced(net, instead=changed(net, nan_weight)),
        rf"pattern {SIZE}, pixel .*rule 'finite': the file gives NaN or Inf \(stage: trace\)",
    ),
    "a NaN weight": (
        lambda net: changed(net, nan_weight),
        r"rule 'finite': PyTorch gives NaN or Inf \(stage: the network itself\)",
    ),
}


@pytest.mark.parametrize(
    "fault",
    [fault if n % 2 else pytest.param(fault, marks=pytest.mark.slow) for n, fault in enumerate(FAULTS)],
)
@pytest.mark.sampled(5)
def test_a_wrongly_traced_network_leaves_the_old_file(fault, tmp_path):
    spoil, message = FAULTS[fault]
    path, report = tmp_path / "net.onnx", tmp_path / "net.verification.json"
    before = old_files(path, report)

    with pytest.raises(VerificationError, match=message) as caught:
        export(spoil(seeded(Plain)), card(), path)

    assert_untouched(tmp_path, before)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert caught.value.exit_code == 3


def unpooled(x):
    pooled, places = F.max_pool2d(x, 2, return_indices=True)
    return F.max_unpool2d(pooled, places, 2, output_size=x.shape[-2:])


@pytest.mark.slow
def test_max_unpooling_is_named_where_a_file_differs(tmp_path):
    with pytest.raises(VerificationError, match=r"stage: trace\); .* \(max unpooling\), .*F\.interpolate"):
        export(Traced(seeded(Plain), after=unpooled), card(), tmp_path / "net.onnx")


def test_an_axis_that_is_frozen_while_traced_is_named(tmp_path):
    before = old_files(tmp_path / "net.onnx", tmp_path / "net.verification.json")
    frozen = Traced(seeded(Plain), after=lambda logits: logits.reshape(2, *logits.shape[1:]))

    with pytest.raises(ArtifactError, match=r"^trace: ") as caught:
        export(frozen, card(), tmp_path / "net.onnx")

    assert "\n" not in str(caught.value)
    assert_untouched(tmp_path, before)


def test_a_failed_export_creates_no_file(tmp_path):
    with pytest.raises(VerificationError):
        export(Traced(seeded(Plain), before=lambda x: x.flip(1)), card(), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_logits_with_an_offset_of_all_classes_pass(tmp_path):
    result = export(networks.Offset(seeded(Plain), 1e4), card(), tmp_path / "net.onnx")
    worst = max(result.verdicts[0].results, key=lambda r: r.error)
    assert worst.error > 1e-4 * worst.amplitude  # the amplitude alone would not allow it
    assert worst.magnitude > 9_000
    assert not result.card.verification.blind


def old_files(*paths):
    """Files that existed before, with old timestamps, and their contents."""
    for path in paths:
        path.write_text(f"the old {path.name}")
        os.utime(path, ns=(10**18, 10**18))
    return {path.name: state(path) for path in paths}


def state(path):
    return path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino, path.stat().st_mode


def assert_untouched(folder, before):
    assert {path.name: state(path) for path in folder.iterdir()} == before


def test_the_injected_faults_are_small_but_change_labels():
    """The faults test the verdict only if they are subtle: these keep nearly every label."""
    net = seeded(Plain)
    x = torch.randn(1, 3, 97, 131, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        right = net(x).argmax(1)
        for name in ("another batch norm epsilon", "a class bias of 1 %"):
            agreement = float((FAULTS[name][0](net).instead(x).argmax(1) == right).float().mean())
            assert 0.97 < agreement < 1, f"{name}: {agreement}"
