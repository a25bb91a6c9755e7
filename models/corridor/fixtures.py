"""Writes the frames that are kept in the repository. `python -m models.corridor.fixtures`."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from PIL import Image

from models.corridor import data
from models.corridor.classes import palette

HERE = Path(__file__).parent


def label_image(labels: np.ndarray) -> Image.Image:
    """Class ids as a palette PNG: the pixel values are the ids, and the palette gives their colors."""
    image = Image.fromarray(labels)
    image = image.convert("P") if image.mode != "P" else image
    image.putpalette(palette())
    return image


@click.command()
@click.option("--held-out", default=40, show_default=True)
@click.option("--calibration", default=32, show_default=True)
def main(held_out: int, calibration: int) -> None:
    """Render held-out frames (PNG), and calibration frames from training scenes (JPEG), with labels (PNG)."""
    for folder in ("heldout/images", "heldout/labels", "calibration/labels"):
        (HERE / folder).mkdir(parents=True, exist_ok=True)
    seeds = data.held_out_seeds(held_out)
    for seed, image, labels in zip(seeds, *data.frames(seeds), strict=True):
        Image.fromarray(image).save(HERE / f"heldout/images/{seed}.png", optimize=True)
        label_image(labels).save(HERE / f"heldout/labels/{seed}.png", optimize=True)
    seeds = data.TRAINING[: calibration * data.SCENE_STEP : data.SCENE_STEP]
    for seed, image, labels in zip(seeds, *data.frames(seeds), strict=True):
        Image.fromarray(image).save(HERE / f"calibration/{seed:07}.jpg", quality=92)
        label_image(labels).save(HERE / f"calibration/labels/{seed:07}.png", optimize=True)


if __name__ == "__main__":
    main()
