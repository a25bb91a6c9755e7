"""The self-test in the file: the design's formulas, implemented a second time in another way."""

from __future__ import annotations

import hashlib
import math
from collections import Counter

import numpy as np
import onnx
import pytest
import torch

from fcn_edge_export import VOC, export
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.model.card import Card, InputSpec
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.model.golden_input import pattern
from fcn_edge_runtime.model.golden_vectors import GOLDEN_KEY, Golden
from tests.export.networks import MEAN, STD, Plain, per_channel, seeded

MASK = 2**32 - 1


def lowbias32(value):
    """The hash of the design, with integers of any size."""
    value &= MASK
    value = (value ^ value >> 16) * 0x7FEB352D & MASK
    value = (value ^ value >> 15) * 0x846CA68B & MASK
    return value ^ value >> 16


def index(b, y, x, c):
    return ((b * 4096 + y) * 4096 + x) * 16 + c


def pixel(b, y, x, c, seed):
    """One pixel of the pattern: lattice every 16 pixels, bilinear between, and -8 to 8 of hashed noise."""

    def lattice(row, column):
        return lowbias32(index(b, row, column, c) + seed * 0x9E3779B9) >> 24

    row, down = divmod(y, 16)
    column, right = divmod(x, 16)
    left = (16 - down) * lattice(row, column) + down * lattice(row + 1, column)
    other = (16 - down) * lattice(row, column + 1) + down * lattice(row + 1, column + 1)
    smooth = ((16 - right) * left + right * other + 128) >> 8
    hashed = lowbias32(index(b, y, x, c) + seed * 0x9E3779B9 + 0x85EBCA6B)
    return min(255, max(0, smooth + ((hashed >> 16) * 17 >> 16) - 8))


@pytest.fixture(scope="module")
def golden(plain):
    with ModelFile.open(plain.path) as file:
        return file.golden


def test_the_file_holds_two_self_test_cases(golden):
    assert [(case.batch, case.height, case.width) for case in golden.cases] == [(2, 64, 96), (1, 67, 45)]
    assert golden.tau == 1e-3


def test_the_images_follow_the_formula_pixel_by_pixel(golden):
    for case in golden.cases:
        image = pattern(case.batch, case.height, case.width, 3, case.seed, InputSpec.default())
        assert hashlib.sha256(image.tobytes()).hexdigest() == case.input_sha256
        for b, y, x, c in np.argwhere(np.ones((case.batch, 5, 4, 3))):
            row, column = int(y * (case.height - 1) / 4), int(x * (case.width - 1) / 3)
            assert image[b, row, column, c] == pixel(int(b), row, column, int(c), case.seed)


def test_the_seed_with_the_most_label_entropy_is_taken(plain, golden):
    segment = Segmenter(plain.path, "cpu")
    for case in golden.cases:
        entropies = {}
        for seed in range(1, 9):
            image = pattern(case.batch, case.height, case.width, 3, seed, InputSpec.default())
            counts = Counter(segment(image).labels.ravel().tolist())
            shares = [count / segment(image).labels.size for count in counts.values()]
            entropies[seed] = -sum(share * math.log(share) for share in shares)
        assert entropies[case.seed] == pytest.approx(max(entropies.values()))


def test_labels_are_pytorchs_or_undecided_within_twice_tau(plain, golden):
    undecided = 0
    for case in golden.cases:
        image = pattern(case.batch, case.height, case.width, 3, case.seed, InputSpec.default())
        x = torch.from_numpy(image.astype(np.float32)).permute(0, 3, 1, 2) / 255
        with torch.inference_mode():
            logits = plain.net((x - per_channel(MEAN)) / per_channel(STD)).double()
        centered = logits - logits.mean(dim=1, keepdim=True)
        best = logits.topk(2, dim=1).values
        margin = (best[:, 0] - best[:, 1]).numpy()
        limit = 2 * 1e-3 * float(centered.abs().max())
        marked = case.labels == 255
        close = np.abs(margin - limit) < 1e-5  # rounding may change these
        np.testing.assert_array_equal(marked[~close], (margin <= limit)[~close])
        np.testing.assert_array_equal(case.labels[~marked], logits.argmax(dim=1).numpy()[~marked])
        undecided += int(marked.sum())
    assert 0 < undecided < 500


@pytest.mark.slow
def test_a_self_test_with_21_classes_is_under_6_kilobytes(tmp_path):
    net = seeded(lambda: Plain(classes=21))
    result = export(net, Card("voc", VOC, InputSpec.default()), tmp_path / "voc.onnx")
    model = onnx.load(result.path)
    text = next(p.value for p in model.metadata_props if p.key == GOLDEN_KEY)
    assert len(text) < 6000
    for case in Golden.from_json(text).cases:
        assert set(range(21)) <= set(np.unique(case.labels).tolist())
    assert result.card.classes[15].name == "person"
