from __future__ import annotations

import numpy as np
import pytest

from fcn_edge_runtime.errors import ModelError, VerificationError
from fcn_edge_runtime.model.card import InputSpec
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.model.golden_input import image_digest, pattern
from fcn_edge_runtime.model.golden_vectors import GOLDEN_SIZES, Golden, GoldenCase, raise_to
from fcn_edge_runtime.selftest import require_passed, run_selftest
from fcn_edge_runtime.session.session import open_session

RGB = InputSpec.default()

# Written once from numpy 2.4; any numpy that disagrees would fail every model's self-test.
DIGESTS = {
    (1, 67, 45, 3, 1, "uint8"): "585049c57819081ed41d10bd7825039bbea1b44b3f46b4cff75ff6c5d65f195d",
    (2, 64, 96, 3, 8, "uint8"): "13f04e6635f3f51e84b595daefc69ba991bb2e81154c8a7ebae771fbcaa1738d",
    (1, 67, 45, 1, 3, "uint16"): "ee4411952679ae0747dafab72c720f501f204c90625f04f2708221737442f67b",
    (2, 33, 17, 5, 2, "float32"): "25d24a3f601f0e0785a9e5d71864ab98ed26dbc3c0c28b29366654318be33692",
}


def lowbias32(x):
    x &= 0xFFFFFFFF
    x ^= x >> 16
    x = x * 0x7FEB352D & 0xFFFFFFFF
    x ^= x >> 15
    x = x * 0x846CA68B & 0xFFFFFFFF
    return x ^ x >> 16


@pytest.mark.parametrize("case", DIGESTS)
def test_every_numpy_computes_the_same_test_images(case):
    *sizes, dtype = case
    image = pattern(*sizes, InputSpec.default(sizes[3], dtype))
    assert image.shape == tuple(sizes[:4])
    assert image.dtype == dtype
    assert image_digest(image) == DIGESTS[case]


def test_a_pixel_follows_the_formula_in_plain_integers():
    image = pattern(2, 40, 50, 3, 5, RGB)
    for b, y, x, c in ((0, 0, 0, 0), (1, 16, 32, 2), (1, 39, 49, 1), (0, 7, 21, 0)):
        i, j, fy, fx = y // 16, x // 16, y % 16, x % 16

        def lattice(row, column, b=b, c=c):
            return lowbias32(((b * 4096 + row) * 4096 + column) * 16 + c + 5 * 0x9E3779B9) >> 24

        upper = (16 - fx) * lattice(i, j) + fx * lattice(i, j + 1)
        lower = (16 - fx) * lattice(i + 1, j) + fx * lattice(i + 1, j + 1)
        smooth = ((16 - fy) * upper + fy * lower + 128) >> 8
        assert abs(int(image[b, y, x, c]) - smooth) <= 8


def test_the_three_dtypes_show_the_network_the_same_picture():
    eight = pattern(1, 30, 40, 3, 2, InputSpec.default(3, "uint8"))
    sixteen = pattern(1, 30, 40, 3, 2, InputSpec.default(3, "uint16"))
    floats = pattern(1, 30, 40, 3, 2, InputSpec.default(3, "float32"))
    assert (sixteen == eight.astype(np.uint16) * 257).all()
    assert np.abs(floats - eight / 255).max() < 1e-7
    assert len(np.unique(eight)) > 100


def test_an_absurd_self_test_is_refused_before_memory_is_taken():
    with pytest.raises(ModelError, match="self-test declares"):
        pattern(1, 4096, 4096, 4096, 1, RGB)
    with pytest.raises(ModelError, match="self-test declares"):
        pattern(1, 5000, 10, 3, 1, RGB)


def test_sizes_are_raised_to_the_smallest_that_the_network_takes():
    assert raise_to(GOLDEN_SIZES, 1) == GOLDEN_SIZES
    assert raise_to(GOLDEN_SIZES, 70) == ((2, 70, 96), (1, 70, 70))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_golden_vectors_survive_being_written_and_read(dtype):
    labels = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    golden = Golden((GoldenCase(2, 3, 4, 1, "0" * 64, labels),), 1e-3)
    again = Golden.from_json(golden.to_json())
    assert again.tau == 1e-3
    assert again.cases[0].labels.dtype == dtype
    assert (again.cases[0].labels == labels).all()
    assert again.to_json() == golden.to_json()


def test_a_healthy_model_passes_and_reports_what_was_compared(model_path):
    with ModelFile.open(model_path("rgb")) as model:
        report = run_selftest(open_session(model, "cpu"), model.card, model.golden)
    assert report.passed
    assert not report.blind
    assert report.provider == "CPUExecutionProvider"
    assert [case.size for case in report.cases] == [(2, 64, 96), (1, 67, 45)]
    assert report.to_dict()["cases"][0]["decided"] > 10_000
    require_passed(report)


def test_a_failed_self_test_names_the_case_and_the_pixel(model_path):
    with ModelFile.open(model_path("elsewhere_wrong")) as model:
        report = run_selftest(open_session(model, "cpu"), model.card, model.golden)
    assert not report.passed
    with pytest.raises(
        VerificationError, match=r"at 2x64x96, 1 of \d+ .* image 1, row 20, column 30"
    ) as caught:
        require_passed(report)
    assert caught.value.exit_code == 3


class Constant:
    """A session that sees one class everywhere."""

    provider = "Test"

    def __init__(self, label):
        self.label = label

    def run(self, image, outputs=None):
        assert outputs == ["labels"]
        return {"labels": np.full(image.shape[:3], self.label, np.uint8)}


def blind_golden(card):
    image = pattern(1, 20, 20, 3, 1, card.input)
    return Golden((GoldenCase(1, 20, 20, 1, image_digest(image), np.zeros((1, 20, 20), np.uint8)),), 1e-3)


def test_a_self_test_that_sees_one_label_is_reported_blind(model_path):
    with ModelFile.open(model_path("rgb")) as model:
        report = run_selftest(Constant(0), model.card, blind_golden(model.card))
    assert report.passed
    assert report.blind


def test_a_label_that_is_not_a_class_fails_everywhere(model_path):
    with ModelFile.open(model_path("rgb")) as model:
        golden = blind_golden(model.card)
        golden.cases[0].labels[0, :10] = 2
        golden.cases[0].labels[0, 10:] = model.card.unlabeled
        assert run_selftest(Constant(2), model.card, golden).passed
        assert not run_selftest(Constant(3), model.card, golden).passed


@pytest.mark.security("a self-test that decides no pixel, or few", "does not pass")
def test_a_test_that_decides_few_pixels_shows_nothing(model_path):
    with ModelFile.open(model_path("rgb")) as model:
        golden = blind_golden(model.card)
        golden.cases[0].labels[:] = model.card.unlabeled
        golden.cases[0].labels[0, 0, :3] = 0
        report = run_selftest(Constant(0), model.card, golden)
        assert not report.passed
        with pytest.raises(VerificationError, match="decides 3 of 400 pixels, expected at least 1%"):
            require_passed(report)


def test_another_releases_test_image_is_an_error_not_a_failure(model_path):
    with ModelFile.open(model_path("rgb")) as model:
        golden = Golden((GoldenCase(1, 20, 20, 1, "0" * 64, np.zeros((1, 20, 20), np.uint8)),), 1e-3)
        with pytest.raises(ModelError, match="SHA-256 differs"):
            run_selftest(Constant(0), model.card, golden)
