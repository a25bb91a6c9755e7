"""Trains `landcover` on the west of the scene.

    python -m models.landcover.train -o landcover.safetensors

Two minutes on one core. The same versions and seed give the same weights on one machine.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from fcn_edge.nets import build
from models.batch_norms import settle_norms
from models.landcover.data import EAST, NAMES, UNLABELED, image, parts, polygons

CROP = 64
BATCH = 12
LEVELS = 3  # of a pixel, the network sees 35 around: enough for the texture of streets
# Of red, green and blue over the scene, as x = (pixel / 65535 - mean) / std; the recipe has the same.
MEAN = (0.0983, 0.1103, 0.1209)
STD = (0.0110, 0.0086, 0.0050)


def places(labels: np.ndarray) -> list[list[np.ndarray]]:
    """Of each class its polygons, and of water the reservoir, too: (rows, columns) of their pixels, each."""
    which = polygons("interpreted")
    found = []
    for kind in range(len(NAMES)):
        pixels = labels == kind
        found.append([np.argwhere(pixels & (which == index)) for index in np.unique(which[pixels])])
    return found


def crops(
    x: Tensor, y: Tensor, chosen: list[list[np.ndarray]], random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Squares around labeled pixels, each class and each of its polygons as often, turned and changed."""
    images, truth = [], []
    for index in range(BATCH):
        of_class = chosen[index % len(NAMES)]
        rows, columns = of_class[random.integers(len(of_class))].T
        pick = random.integers(len(rows))
        top = int(np.clip(rows[pick] - random.integers(CROP), 0, y.shape[0] - CROP))
        left = int(np.clip(columns[pick] - random.integers(CROP), 0, EAST - CROP))
        turn, flip = int(random.integers(4)), bool(random.integers(2))
        pair = [array[..., top : top + CROP, left : left + CROP] for array in (x, y)]
        pair = [torch.rot90(array, turn, (-2, -1)) for array in pair]
        pair = [array.flip(-1) if flip else array for array in pair]
        gain = torch.from_numpy(random.uniform(0.9, 1.1, (3, 1, 1)).astype(np.float32))
        shift = torch.from_numpy(random.uniform(-0.15, 0.15, (3, 1, 1)).astype(np.float32))
        images.append(pair[0] * gain + shift)
        truth.append(pair[1])
    return torch.stack(images), torch.stack(truth)


@click.command()
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@click.option("--steps", default=450, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(output: Path, steps: int, seed: int) -> None:
    """Train, and print the accuracy on what was held out."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(mode=True)
    random = np.random.default_rng(seed)
    truth = parts()
    pixels = torch.from_numpy(image().astype(np.float32) / 65535).permute(2, 0, 1)
    x = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    y = torch.from_numpy(truth["training"]).long()
    chosen = places(truth["training"])
    net = build("fcn_unet", num_classes=len(NAMES), in_channels=3, levels=LEVELS)
    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=steps)
    for step in range(1, steps + 1):
        images, labels = crops(x, y, chosen, random)
        loss = F.cross_entropy(net(images), labels, ignore_index=UNLABELED, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            click.echo(f"step {step} of {steps}: loss {loss.item():.4f}")
    settle_norms(net, [x[None, :, :, :EAST]])
    net.eval()
    with torch.inference_mode():
        found = net(x[None]).argmax(1)[0].numpy()
    for name in ("surveyed", "east"):
        known = truth[name] != UNLABELED
        right = found == truth[name]
        each = ", ".join(f"{kind} {right[truth[name] == k].mean():.3f}" for k, kind in enumerate(NAMES))
        click.echo(f"{name}: {right[known].mean():.4f} of {known.sum()} pixels; {each}")
    save_file({key: value for key, value in net.state_dict().items() if "num_batches" not in key}, output)


if __name__ == "__main__":
    main()
