"""Files of the repository: weights, held-out frames, calibration frames, the model page."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.corridor import data, networks
from models.corridor.classes import COLORS, NAMES, UNLABELED, palette
from models.corridor.evaluate import HELD_OUT, evaluate, shipped_frames

FOLDER = HELD_OUT.parent
PAGE = (FOLDER / "README.md").read_text()
LIMITS = {"corridor": 5_000_000, "corridor-r18": 25_000_000}


@pytest.fixture(scope="module")
def frames():
    return shipped_frames()


def stated(net):
    """The mean IoU on the shipped frames that the model page states."""
    row = re.search(rf"^\| {net} \| shipped 40 \| ([0-9.]+) \|", PAGE, re.MULTILINE)
    assert row, f"the model page has no row '| {net} | shipped 40 | ...'"
    return float(row[1])


@pytest.mark.slow
@pytest.mark.parametrize("net", list(LIMITS))
def test_the_shipped_weights_reach_the_mean_iou_of_the_page(net, frames):
    assert evaluate(net, None, *frames).mean_iou == pytest.approx(stated(net), abs=0.001)


@pytest.mark.parametrize("net", list(LIMITS))
def test_weights_are_within_their_size(net):
    assert (networks.WEIGHTS / f"{net}.safetensors").stat().st_size <= LIMITS[net]


def test_forty_held_out_frames_have_labels_of_known_ids(frames):
    images, labels = frames
    assert images.shape == (40, 240, 320, 3)
    assert set(np.unique(labels).tolist()) == {*range(len(NAMES)), UNLABELED}


def test_frames_are_named_by_seeds_of_their_range():
    held_out = [int(p.stem) for p in (HELD_OUT / "images").glob("*.png")]
    calibration = [int(p.stem) for p in (FOLDER / "calibration").glob("*.jpg")]
    assert set(held_out) <= set(data.HELD_OUT)
    assert set(calibration) <= set(data.TRAINING)
    assert len(calibration) == 32


def test_label_images_hold_ids_and_colors_of_the_classes():
    with Image.open(min((HELD_OUT / "labels").glob("*.png"))) as image:
        assert image.mode == "P"
        assert image.getpalette()[: 3 * len(NAMES)] == [c for color in COLORS for c in color]
    assert len(palette()) == 768


def test_the_repository_stays_small():
    assert sum(p.stat().st_size for p in Path(FOLDER).rglob("*") if p.suffix in {".png", ".jpg"}) < 6_000_000
