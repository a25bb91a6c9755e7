from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fcn_edge.cli.effect_options import NAMES
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.imaging.effects import EFFECTS
from tests.runtime.make_models import make_model


def fcn_edge(*args, cwd=None):
    command = [sys.executable, "-m", "fcn_edge", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


@pytest.fixture
def picture(tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_help_offers_the_effects_that_there_are():
    assert NAMES == EFFECTS


def test_the_background_is_replaced_and_the_class_stays_exact(model_path, picture, photo, tmp_path):
    model = model_path("rgb")
    with Segmenter(model) as segmenter:
        labels = segmenter(photo).labels
    kept = labels == 1
    assert 0 < kept.mean() < 1
    done = fcn_edge(
        *("run", model, picture, "-o", tmp_path / "out", "--effect", "replace-background"),
        *("--class", "class 1", "--background", "#0a1e28", "--feather", 0, "-q"),
    )
    assert done.returncode == 0, done.stderr
    made = np.asarray(Image.open(tmp_path / "out" / "photo.effect.png"))
    assert np.array_equal(made[kept], photo[kept])
    assert (made[~kept] == (0x0A, 0x1E, 0x28)).all()


def test_confidence_of_two_classes_makes_soft_edges(picture, photo, tmp_path):
    make_model(tmp_path / "two.onnx", outputs=("labels", "confidence"), classes=2)
    words = (
        "--effect",
        "replace-background",
        "--class",
        "class 1",
        "--background",
        "#000000",
        "--feather",
        0,
    )
    made = {}
    for out, more in (("soft", ()), ("hard", ("--threshold", 0.5))):
        done = fcn_edge("run", tmp_path / "two.onnx", picture, "-o", tmp_path / out, *words, *more, "-q")
        assert done.returncode == 0, done.stderr
        made[out] = np.asarray(Image.open(tmp_path / out / "photo.effect.png"))
    mixed = (made["soft"] != photo).any(axis=-1) & made["soft"].any(axis=-1)
    assert mixed.any()
    assert not ((made["hard"] != photo).any(axis=-1) & made["hard"].any(axis=-1)).any()


@pytest.mark.parametrize("effect", ["blur-background", "gray-background", "tint"])
def test_every_effect_writes_a_picture_of_the_same_size(model_path, picture, tmp_path, effect):
    args = ("--effect", effect, "--class", "class 1", "--save", "labels", "-q")
    done = fcn_edge("run", model_path("rgb"), picture, "-o", tmp_path / "out", *args)
    assert done.returncode == 0, done.stderr
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["photo.effect.png", "photo.labels.png"]
    assert Image.open(tmp_path / "out" / "photo.effect.png").size == (64, 48)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--effect", "tint"), "tint needs a class"),
        (("--effect", "tint", "--class", "dog"), "no class 'dog'"),
        (("--class", "class 1"), "add --effect"),
        (("--effect", "tint", "--class", "class 1", "--color", "red"), "#rrggbb"),
        (("--effect", "sepia", "--class", "class 1"), "sepia"),
    ],
)
def test_a_wrong_effect_is_found_before_the_first_picture(model_path, picture, tmp_path, args, message):
    done = fcn_edge("run", model_path("rgb"), picture, "-o", tmp_path / "out", *args)
    assert done.returncode == 2
    assert message in done.stderr
    assert not list((tmp_path / "out").glob("*"))


def test_a_background_that_is_not_an_image_is_named(model_path, picture, tmp_path):
    args = ("--effect", "replace-background", "--class", "class 1", "--background", "beach.jpg")
    done = fcn_edge("run", model_path("rgb"), picture, "-o", tmp_path / "out", *args)
    assert done.returncode == 1
    assert "beach.jpg" in done.stderr
