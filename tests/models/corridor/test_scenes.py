"""The scene generator, if MuJoCo and offscreen rendering are available."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from models.corridor.classes import NAMES, UNLABELED

os.environ.setdefault("MUJOCO_GL", "osmesa")  # MuJoCo reads it once, when it is imported
# In a separate process: without OSMesa, importing mujoco itself fails.
_RENDERS = subprocess.run(
    [sys.executable, "-c", "import models.corridor.scene.render as r, mujoco; mujoco.GLContext(8, 8)"],
    check=False,
    capture_output=True,
)
if _RENDERS.returncode != 0:
    pytest.skip(
        "scenes are rendered by MuJoCo (pip install 'fcn-edge[train]') with OpenGL: install libosmesa6, or "
        "set MUJOCO_GL=egl on a machine with a GPU",
        allow_module_level=True,
    )


@pytest.fixture(scope="module")
def frames():
    from models.corridor.scene.render import frame

    return [frame(seed) for seed in (0, 1, 3, 6)]


def test_the_same_seed_gives_the_same_bytes_in_another_process(frames):
    code = (
        "import hashlib; from models.corridor.scene.render import frame; f = frame(1);"
        "print(hashlib.sha256(f.image.tobytes() + f.labels.tobytes()).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    here = hashlib.sha256(frames[1].image.tobytes() + frames[1].labels.tobytes()).hexdigest()
    assert done.stdout.split()[0] == here  # MuJoCo may print something after it


def test_frames_do_not_depend_on_earlier_ones(frames):
    from models.corridor.scene.render import frame

    again = frame(3)
    assert np.array_equal(again.image, frames[2].image)
    assert np.array_equal(again.labels, frames[2].labels)


def test_labels_hold_only_known_ids(frames):
    seen = np.unique(np.concatenate([f.labels.ravel() for f in frames]))
    assert set(seen.tolist()) <= {*range(len(NAMES)), UNLABELED}


def test_other_seeds_give_other_pictures(frames):
    pictures = {f.image.tobytes() for f in frames}
    assert len(pictures) == len(frames)


def test_a_frame_has_the_requested_size():
    from models.corridor.scene.render import frame

    made = frame(9, width=96, height=64)
    assert made.image.shape == (64, 96, 3)
    assert made.labels.shape == (64, 96)


def test_a_negative_seed_is_refused():
    from models.corridor.scene.render import frame

    with pytest.raises(ValueError, match="a seed is 0 or more, got -1"):
        frame(-1)


def test_the_shipped_frames_are_what_their_seeds_render():
    """Labels are equal to the pixel with the renderer that made them; images are close with any."""
    from PIL import Image

    from models.corridor.evaluate import HELD_OUT
    from models.corridor.scene.render import frame

    path = min((HELD_OUT / "images").glob("*.png"))
    made = frame(int(path.stem))
    labels = np.asarray(Image.open(HELD_OUT / "labels" / path.name))
    assert (made.labels == labels).mean() > 0.99
    difference = np.abs(made.image.astype(int) - np.asarray(Image.open(path).convert("RGB")).astype(int))
    assert difference.mean() < 3
