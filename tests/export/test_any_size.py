"""Every kind of network is correct at every size: the written file in the runtime compared with PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fcn_edge_runtime import InputError, Segmenter
from tests.export import networks
from tests.export.conftest import ALL_OUTPUTS, make
from tests.export.frames import picture
from tests.export.networks import seeded


@dataclass(frozen=True)
class Kind:
    """A network, and the properties that must be found.

    `grid`: the network itself takes multiples of this. `low`: its logits have 1/low of the size.
    """

    build: object
    channels: int = 3
    dtype: str = "uint8"
    outputs: tuple[str, ...] = ("labels", "logits")
    grid: int = 1
    low: int = 1
    smallest: int = 1


KINDS = {
    "crashes at anything but multiples of 8": Kind(
        networks.OnlyMultiplesOfEight, grid=8, outputs=ALL_OUTPUTS
    ),
    "shrinks anything but multiples of 4": Kind(networks.Shrinks, grid=4),
    "logits at a quarter, in a tuple, 4 bands of uint16": Kind(
        lambda: networks.Wrapped(networks.LowResolution(4, halvings=2), lambda s: (s, s.mean())),
        channels=4,
        dtype="uint16",
        low=4,
    ),
    "logits at an eighth, in a dict": Kind(
        lambda: networks.Wrapped(networks.LowResolution(3, halvings=3), lambda s: {"aux": -s, "out": s}),
        low=8,
    ),
    "one gray channel, one score": Kind(
        lambda: networks.Plain(channels=1, classes=1), channels=1, outputs=ALL_OUTPUTS
    ),
    "260 classes, float32 image, an object with logits": Kind(
        lambda: networks.Wrapped(networks.Plain(classes=260), networks.Output),
        dtype="float32",
        outputs=("labels", "confidence", "logits"),
    ),
    "pyramid pooling as in PSPNet": Kind(networks.Pyramid),
    "pyramid pooling as in UPerNet": Kind(networks.PyramidOfFeatures),
    "reflect padding": Kind(networks.Mirrored, smallest=2),
    "instance norm": Kind(networks.InstanceNormed, smallest=2),
}


LONG = ("260 classes, float32 image, an object with logits", "pyramid pooling as in UPerNet")


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in KINDS],
)
def exported(request, tmp_path_factory):
    kind = KINDS[request.param]
    path = tmp_path_factory.mktemp("any") / "net.onnx"
    made = make(seeded(kind.build), path, channels=kind.channels, dtype=kind.dtype, outputs=kind.outputs)
    return kind, made


def pytorch(kind, net, frames):
    """Scores (N, K, H, W) by a few lines of PyTorch that share nothing with the exporter."""
    x = torch.from_numpy(frames.astype(np.float32)).permute(0, 3, 1, 2)
    x = x / {"uint8": 255, "uint16": 65535, "float32": 1}[kind.dtype]
    if kind.channels == 3:
        x = (x - networks.per_channel(networks.MEAN)) / networks.per_channel(networks.STD)
    height, width = x.shape[2:]
    x = F.pad(x, (0, -width % kind.grid, 0, -height % kind.grid), mode="replicate")
    with torch.inference_mode():
        logits = net(x)
    if isinstance(logits, dict):
        logits = logits["out"]
    elif isinstance(logits, tuple):
        logits = logits[0]
    elif not isinstance(logits, torch.Tensor):
        logits = logits.logits
    if kind.low > 1:
        logits = F.interpolate(logits, size=x.shape[2:], mode="bilinear", align_corners=False)
    return logits[..., :height, :width].numpy()


SIZES = [(1, 1), (1, 40), (37, 1), (2, 2), (7, 9), (16, 24), (61, 83), (128, 64), (101, 211), (301, 17)]


@pytest.mark.sampled(2)
def test_any_size_of_image_is_segmented_correctly(exported):
    kind, made = exported
    geometry = made.result.card.geometry
    assert (geometry.size_multiple, geometry.smallest_size) == (kind.grid, kind.smallest)
    segment = Segmenter(made.path, "cpu")
    for index, (height, width) in enumerate(SIZES):
        frame = picture(height, width, kind.channels, kind.dtype, seed=index)
        if min(height, width) < kind.smallest:
            with pytest.raises(InputError, match=f"expected at least {kind.smallest}"):
                segment(frame)
        else:
            assert_right(segment(frame[None]), pytorch(kind, made.net, frame[None]), (height, width))
    batch = np.stack([picture(45, 70, kind.channels, kind.dtype, seed) for seed in range(3)])
    assert_right(segment(batch), pytorch(kind, made.net, batch), "a batch of 3")


def assert_right(got, logits, where):
    """Logits to float32's accuracy, labels except near ties, probabilities by softmax."""
    tolerance = 2e-5 * np.abs(logits).max() + 1e-6
    np.testing.assert_allclose(got.logits, logits, atol=tolerance, rtol=0, err_msg=str(where))
    if logits.shape[1] == 1:
        labels, margin = logits[:, 0] > 0, np.abs(logits[:, 0])
        shares = 1 / (1 + np.exp(-logits.astype(np.float64)))
        winner = np.maximum(shares, 1 - shares)[:, 0]
    else:
        labels = logits.argmax(axis=1)
        margin = np.diff(np.sort(logits, axis=1)[:, -2:], axis=1)[:, 0]
        odds = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
        shares = odds / odds.sum(axis=1, keepdims=True)
        winner = shares.max(axis=1)
    clear = margin > 2 * tolerance
    assert (got.labels == labels)[clear].all(), where
    assert clear.mean() > 0.99 or clear.size < 100
    if got.confidence is not None:
        np.testing.assert_allclose(got.confidence, winner, atol=1e-4, err_msg=str(where))
    if got.probabilities is not None:
        np.testing.assert_allclose(got.probabilities, shares, atol=1e-4, err_msg=str(where))


@pytest.mark.sampled(2)
def test_labels_are_bytes_up_to_255_classes_and_two_bytes_above(exported):
    kind, made = exported
    got = Segmenter(made.path, "cpu")(picture(20, 30, kind.channels, kind.dtype))
    many = len(made.result.card.classes) > 255
    assert got.labels.dtype == (np.uint16 if many else np.uint8)
    assert made.result.card.unlabeled == (65535 if many else 255)
    assert got.labels.shape == (20, 30)


@pytest.mark.sampled(3)
def test_the_verdict_covers_batches_odd_sizes_and_orientations(exported):
    kind, made = exported
    sizes = made.result.card.verification.sizes
    assert (1, kind.smallest, kind.smallest) in sizes
    assert any(n > 1 for n, _, _ in sizes)
    assert any(h < w for _, h, w in sizes)
    assert any(h > w for _, h, w in sizes)
    assert any(h % 2 and w % 2 for _, h, w in sizes)
    assert all(r.failure == "" and r.agreement > 0.999 for r in made.result.verdicts[0].results)
    assert not made.result.card.verification.blind
