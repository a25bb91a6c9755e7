"""Scores of trained weights on held-out frames.

`python -m models.corridor.evaluate --net corridor`
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image

from fcn_edge_runtime.evaluation.metrics import Scores, confusion_matrix, scores_of
from models.corridor import data, networks
from models.corridor.classes import NAMES

HELD_OUT = Path(__file__).parent / "heldout"


def shipped_frames() -> tuple[np.ndarray, np.ndarray]:
    """The held-out frames beside this file: images `(N, H, W, 3)` and labels `(N, H, W)`."""
    paths = sorted((HELD_OUT / "images").glob("*.png"))
    images = np.stack([np.asarray(Image.open(p).convert("RGB")) for p in paths])
    labels = np.stack([np.asarray(Image.open(HELD_OUT / "labels" / p.name)) for p in paths])
    return images, labels


def evaluate(net: str, weights: Path | None, images: np.ndarray, labels: np.ndarray) -> Scores:
    """The scores of a network on these frames."""
    ours = networks.predict(networks.load(net, weights), images)
    return scores_of(confusion_matrix(labels, ours, len(NAMES)))


@click.command()
@click.option("--net", type=click.Choice(list(networks.NETS)), default="corridor", show_default=True)
@click.option("--weights", type=click.Path(path_type=Path), help="Default: the shipped ones.")
@click.option(
    "--frames",
    default=0,
    show_default=True,
    help="Render this many held-out scenes; 0: the 40 shipped frames.",
)
@click.option("--threads", default=0, help="CPU threads; 0 leaves it to PyTorch.")
@click.option("--json", "as_json", is_flag=True)
def main(net: str, weights: Path | None, frames: int, threads: int, *, as_json: bool) -> None:
    """Print IoU per class and mean IoU."""
    if threads:
        torch.set_num_threads(threads)
    images, labels = data.frames(data.held_out_seeds(frames)) if frames else shipped_frames()
    got = evaluate(net, weights, images, labels)
    if as_json:
        per_class = dict(zip(NAMES, got.iou, strict=True))
        overall = {"mean_iou": got.mean_iou, "pixel_accuracy": got.pixel_accuracy}
        click.echo(json.dumps({**overall, "iou": per_class}))
    else:
        shown = ("absent" if value is None else f"{value:.3f}" for value in got.iou)
        each = "  ".join(f"{name} {value}" for name, value in zip(NAMES, shown, strict=True))
        overall_text = f"mean IoU {got.mean_iou:.4f}, pixel accuracy {got.pixel_accuracy:.4f}"
        click.echo(f"{net} on {len(images)} held-out frames: {overall_text}:  {each}")


if __name__ == "__main__":
    main()
