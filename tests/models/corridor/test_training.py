"""Training on tiny networks and synthetic frames, without a renderer."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from models.corridor import data, networks, training
from models.corridor.augment import batch
from models.corridor.classes import NAMES, UNLABELED
from models.corridor.losses import loss
from models.corridor.networks import Net, Phase

# Eight channels, not four: oneDNN (torch 2.13, only AVX2) never returns from the gradient of a strided 1x1
# convolution over four channels.
TINY = Net(
    "fcn_lite",
    {"width": 8},
    1e-2,
    (Phase(0.5, (32, 40), (0.5, 1.0), 4, {"width": 8}, 8), Phase(0.5, (48, 64), (0.8, 1.2), 2, {"width": 8})),
)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(networks.NETS, "tiny", TINY)
    return training.Plan("tiny", (20, 10))


@pytest.fixture(scope="module")
def frames():
    """Two classes of different color, split by a moving line."""
    images, labels = np.zeros((8, 60, 80, 3), np.uint8), np.zeros((8, 60, 80), np.uint8)
    for k in range(8):
        labels[k, :, 10 + 7 * k :] = 5
        images[k] = np.where(labels[k, ..., None] == 5, (200, 60, 40), (60, 90, 200))
    labels[:, 0] = UNLABELED
    return images, labels


def trained(plan, state, frames, until):
    seen = []
    training.run(plan, state, *frames, until=until, device="cpu", report=lambda _, value: seen.append(value))
    return seen


def test_training_lowers_the_loss(tiny, frames):
    losses = trained(tiny, training.start(tiny, "cpu"), frames, 30)
    assert len(losses) == 30
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:3])


@pytest.mark.parametrize("stop", [3, 6])
def test_a_resumed_training_equals_an_uninterrupted_one(tiny, frames, tmp_path, stop):
    tiny = training.Plan("tiny", (6, 4))
    whole = training.start(tiny, "cpu")
    trained(tiny, whole, frames, 10)
    first = training.start(tiny, "cpu")
    trained(tiny, first, frames, stop)
    training.save(first, tiny, tmp_path / "a.ckpt")
    plan, second = training.resume(tmp_path / "a.ckpt", "cpu")
    assert (plan, second.step) == (tiny, stop)
    trained(plan, second, frames, 10)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_validation_keeps_the_best_state(tiny, frames):
    state = training.start(tiny, "cpu")
    trained(tiny, state, frames, 30)
    training.validate(tiny, state, *frames)
    best = state.best_score
    kept = {k: v.clone() for k, v in state.best.items()}
    with torch.no_grad():
        for value in state.average.values():
            value.zero_()
    training.validate(tiny, state, *frames)
    assert state.best_score == best > 0.3
    assert all(torch.equal(v, kept[k]) for k, v in state.best.items())
    assert [h["step"] for h in state.history] == [30, 30]


def test_the_learning_rate_rises_then_falls_to_a_hundredth(tiny):
    rates = [tiny.rate(step) for step in range(31)]
    assert rates[0] < 0.01
    assert max(rates) > 0.9
    assert rates[-1] < 0.02
    assert [tiny.phase(s) for s in (0, 19, 20, 29)] == [0, 0, 1, 1]


def test_training_validation_and_held_out_scenes_are_disjoint():
    def scenes(seeds):
        return range(seeds.start // data.SCENE_STEP, seeds[-1] // data.SCENE_STEP + 1)

    ranges = [scenes(r) for r in (data.TRAINING, data.VALIDATION, data.HELD_OUT)]
    assert all(a.stop <= b.start for a, b in pairwise(ranges))
    assert set(data.validation_seeds(64)) <= set(data.VALIDATION)
    assert set(data.held_out_seeds(240)) <= set(data.HELD_OUT)
    assert len({s // data.SCENE_STEP for s in data.held_out_seeds(240)}) == 240


def test_batches_keep_ids_and_ranges(frames):
    x, y = batch(np.random.default_rng(0), *frames, (32, 48), (0.5, 1.5))
    assert x.shape == (8, 3, 32, 48)
    assert y.shape == (8, 32, 48)
    assert 0 <= float(x.min()) <= float(x.max()) <= 1
    assert set(y.unique().tolist()) <= {0, 5, UNLABELED}


def test_unlabeled_pixels_do_not_count_in_the_loss():
    torch.manual_seed(0)
    logits = torch.randn(1, len(NAMES), 4, 4)
    labels = torch.randint(0, len(NAMES), (1, 4, 4))
    labels[0, :2] = UNLABELED
    other = logits.clone()
    other[0, :, :2] = 7.0
    assert torch.allclose(loss(logits, labels), loss(other, labels))


def test_a_perfect_prediction_has_almost_no_loss():
    labels = torch.randint(0, len(NAMES), (2, 16, 16))
    logits = torch.nn.functional.one_hot(labels, len(NAMES)).movedim(-1, 1) * 30.0
    assert float(loss(logits, labels)) < 0.01
