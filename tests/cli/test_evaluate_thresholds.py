from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fcn_edge
from fcn_edge_runtime import InputError, Segmenter, UsageError

MODEL = Path(__file__).parents[1] / "artifacts" / "0.1.0-binary.onnx"
TRIED = (0.3, 0.5, 0.6)


@pytest.fixture
def scored(tmp_path, photo):
    """images/ and masks/ of 0 and 255; the probability and the truth of every pixel."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    probabilities, truths = [], []
    with Segmenter(MODEL, "cpu") as segmenter:
        for index, image in enumerate((photo, photo[::-1].copy(), photo[:, ::-1].copy())):
            probability = segmenter(image).probabilities[0]
            noise = np.random.default_rng(index).normal(0, 0.1, probability.shape)
            truth = probability + noise > 0.6
            Image.fromarray(image).save(tmp_path / "images" / f"{index}.png")
            Image.fromarray(truth.astype(np.uint8) * 255).save(tmp_path / "masks" / f"{index}.png")
            probabilities.append(probability)
            truths.append(truth)
    return np.stack(probabilities), np.stack(truths)


ARGS = ("evaluate", MODEL, "--images", "images", "--labels", "masks", "--foreground", 255)


def expected_at(threshold, probability, truth):
    labels = probability >= threshold
    hits = (labels & truth).sum()
    return [hits / (labels | truth).sum(), hits / labels.sum(), hits / truth.sum()]


def test_thresholds_are_compared_as_numpy_counts_them(fcn_edge, scored):
    done = fcn_edge(*ARGS, "--threshold", "0.3,0.5,0.6", "--json", "-q")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for entry, threshold in zip(found["thresholds"], TRIED, strict=True):
        assert entry["threshold"] == threshold
        got = [entry[name] for name in ("iou", "precision", "recall")]
        assert got == pytest.approx(expected_at(threshold, *scored), rel=1e-3)
    best = max(found["thresholds"], key=lambda entry: entry["iou"])
    assert found["threshold"] == best["threshold"] == 0.6
    assert list(found["iou"].values())[1] == best["iou"]


@pytest.mark.usefixtures("scored")
def test_the_table_names_the_best_threshold(fcn_edge):
    done = fcn_edge(*ARGS, "--threshold", "0.3,0.6", "-o", "report", "-q")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["threshold", "IoU", "precision", "recall", "of", "object"]
    assert lines[1].split()[0] == "0.3"
    assert lines[2].endswith("best IoU")
    assert "at 0.6:" in lines


def test_one_threshold_changes_the_scores_and_prints_no_table(fcn_edge, scored):
    done = fcn_edge(*ARGS, "--threshold", 0.6, "--json", "-q")
    found = json.loads(done.stdout)
    assert list(found["iou"].values())[1] == pytest.approx(expected_at(0.6, *scored)[0], rel=1e-3)
    assert "thresholds" not in found
    assert found["threshold"] == 0.6


def test_thresholds_work_in_python_as_on_the_command_line(scored, tmp_path):
    labels = fcn_edge.LabelFolder(tmp_path / "masks", foreground=255)
    found = fcn_edge.evaluate(MODEL, tmp_path / "images", labels, thresholds=TRIED)
    assert [entry.iou for entry in found.sweep] == pytest.approx(
        [expected_at(t, *scored)[0] for t in TRIED], rel=1e-3
    )
    with Segmenter(MODEL, "cpu", threshold=0.5) as segmenter, pytest.raises(UsageError, match="already"):
        fcn_edge.evaluate(segmenter, tmp_path / "images", labels, thresholds=TRIED)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("0.3,1", "not in the range 0<x<1"),
        ("nan", "expected a number"),
        ("0.3,", "got '', expected a number"),
    ],
)
@pytest.mark.usefixtures("scored")
def test_thresholds_out_of_range_are_refused(fcn_edge, given, message):
    done = fcn_edge(*ARGS, "--threshold", given)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert message in done.stderr


@pytest.mark.usefixtures("scored")
def test_several_thresholds_are_for_two_classes(fcn_edge, model_path):
    args = (
        "evaluate",
        model_path("rgb"),
        "--images",
        "images",
        "--labels",
        "masks",
        "--threshold",
        "0.3,0.5",
    )
    done = fcn_edge(*args)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "for models of two classes, and this one has 3: give one" in done.stderr


class Unused(Segmenter):
    """A model that must not be run."""

    def __call__(self, _):
        raise AssertionError("an image was segmented")


def write_masks(folder, pixels, count=40):
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for index in range(count):
        Image.fromarray(np.zeros((12, 16, 3), np.uint8)).save(folder / "images" / f"{index:02}.png")
        Image.fromarray(pixels(index)).save(folder / "masks" / f"{index:02}.png")


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (lambda index: np.full((12, 16), 255 * (index % 2), np.uint8), "give --foreground 255"),
        (lambda _: np.full((12, 16), 9, np.uint8), "holds the id 9"),
        (lambda index: np.full((12, 16), 9 * (index > 35), np.uint8), "holds the id 9"),
        (lambda _: np.zeros((9, 9), np.uint8), "expected equal sizes"),
        (lambda _: np.zeros((12, 16, 3), np.uint8) + np.arange(3, dtype=np.uint8), "is a mask of colors"),
    ],
)
def test_masks_that_do_not_fit_are_found_before_the_work(tmp_path, pixels, message):
    write_masks(tmp_path, pixels)
    with Unused(MODEL, "cpu") as segmenter, pytest.raises(InputError, match=message):
        fcn_edge.evaluate(segmenter, tmp_path / "images", tmp_path / "masks")


def test_masks_with_few_labeled_pixels_are_not_refused(tmp_path):
    write_masks(tmp_path, lambda index: np.full((12, 16), [0, 255, 1][index % 3], np.uint8))
    found = fcn_edge.evaluate(MODEL, tmp_path / "images", tmp_path / "masks")
    assert found.scores.pixels == 27 * 12 * 16
