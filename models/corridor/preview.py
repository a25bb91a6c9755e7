"""A contact sheet of frames: image, labels, and overlay.

`python -m models.corridor.preview -o preview.png`
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from PIL import Image

from models.corridor.classes import COLORS, NAMES, UNLABELED
from models.corridor.scene.render import Frame, frame


def colored(labels: np.ndarray) -> np.ndarray:
    """Class ids as RGB colors; unlabeled is white."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(COLORS)] = COLORS
    table[UNLABELED] = 255
    painted: np.ndarray = table[labels]
    return painted


def triptych(made: Frame) -> np.ndarray:
    """Image, labels and overlay side by side."""
    paint = colored(made.labels)
    overlay = (0.55 * made.image + 0.45 * paint).astype(np.uint8)
    return np.concatenate([made.image, paint, overlay], 1)


@click.command()
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("preview.png"), show_default=True
)
@click.option("--first", default=0, show_default=True, help="The first seed.")
@click.option("--every", default=3, show_default=True, help="The step between seeds.")
@click.option("--count", default=24, show_default=True)
@click.option("--columns", default=2, show_default=True)
@click.option("--images-only", is_flag=True, help="Leave labels and overlays out.")
def main(output: Path, first: int, every: int, count: int, columns: int, *, images_only: bool) -> None:
    """Write a contact sheet, and print how often each class occurs."""
    pixels = np.zeros(256)
    present = np.zeros(256)
    cells = []
    for seed in range(first, first + count * every, every):
        made = frame(seed)
        found = np.bincount(made.labels.ravel(), minlength=256)
        pixels += found
        present += found > 100
        cells.append(made.image if images_only else triptych(made))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    rows = [np.concatenate(cells[k : k + columns], 1) for k in range(0, len(cells), columns)]
    Image.fromarray(np.concatenate(rows, 0)).save(output)
    for k, name in [*enumerate(NAMES), (UNLABELED, "unlabeled")]:
        click.echo(
            f"{name:>11}: {pixels[k] / pixels.sum():6.1%} of pixels, in {present[k] / count:4.0%} of frames"
        )


if __name__ == "__main__":
    main()
