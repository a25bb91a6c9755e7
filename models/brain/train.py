"""Trains `brain` on the template.

    python -m models.brain.train nilearn/datasets/data -o brain.safetensors

Three minutes on one core. The same versions, threads and seed give the same weights on one machine.
"""

from __future__ import annotations

import math
from pathlib import Path

import click
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from fcn_edge.nets import build
from models.batch_norms import settle_norms
from models.brain.data import HELD_OUT, read, slices, training_slices

CROP = 128
BATCH = 6


def augmented(images: Tensor, labels: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """One crop of each: turned, scaled, mirrored, and as scanners differ: contrast, brightness, noise.

    Args:
        images: [N, 1, H, W], 0 to 1.
        labels: [N, H, W] of classes.
        random: the source of chance.

    Returns:
        [N, 1, CROP, CROP] and [N, CROP, CROP].
    """
    count, (height, width) = len(images), images.shape[-2:]
    turns = []
    for _ in range(count):
        angle, scale = random.uniform(-0.35, 0.35), random.uniform(0.8, 1.25)
        mirror = random.choice([-1.0, 1.0])
        row = (scale * CROP / height, scale * CROP / width)
        x, y = random.uniform(-0.6, 0.6, 2)
        cos, sin = math.cos(angle), math.sin(angle)
        turns.append([[mirror * row[1] * cos, -row[1] * sin, x], [mirror * row[0] * sin, row[0] * cos, y]])
    grid = F.affine_grid(
        torch.tensor(turns, dtype=torch.float32), [count, 1, CROP, CROP], align_corners=False
    )
    crops = F.grid_sample(images, grid, align_corners=False)
    truth = F.grid_sample(labels[:, None].float(), grid, mode="nearest", align_corners=False)[:, 0].long()
    gamma, gain, shift = (
        torch.from_numpy(random.uniform(*limits, (count, 1, 1, 1)).astype(np.float32))
        for limits in ((0.85, 1.2), (0.9, 1.1), (-0.04, 0.04))
    )
    inside = crops > 0  # what is outside of the brain stays 0
    noise = torch.from_numpy(random.normal(0, 0.02, crops.shape).astype(np.float32))
    changed = (crops.clamp(0, 1) ** gamma * gain + shift + noise).clamp(0, 1)
    return torch.where(inside, changed, crops), truth


def dice_of(net: nn.Module, images: Tensor, labels: Tensor) -> list[float]:
    """Dice of each class over all slices together."""
    net.eval()
    with torch.inference_mode():
        found = torch.cat([net(image[None]).argmax(1) for image in images])
    return [
        float(2 * ((found == k) & (labels == k)).sum() / ((found == k).sum() + (labels == k).sum()))
        for k in range(3)
    ]


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@click.option("--steps", default=600, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(folder: Path, output: Path, steps: int, seed: int, threads: int) -> None:
    """Train on the template in FOLDER, and print the Dice of the held-out slab."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(mode=True)
    random = np.random.default_rng(seed)
    images, labels = slices(*read(folder))
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
    y = torch.from_numpy(np.ascontiguousarray(labels)).long()
    chosen = np.array(training_slices())
    held_out = list(HELD_OUT)
    net = build("fcn_unet", num_classes=3, in_channels=1)
    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
    for step in range(1, steps + 1):
        batch = random.choice(chosen, BATCH, replace=False)
        crops, truth = augmented(x[batch], y[batch], random)
        loss = F.cross_entropy(net(crops), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            click.echo(f"step {step} of {steps}: loss {loss.item():.4f}")
    settle_norms(net, x[chosen][::2].split(BATCH))
    dice = ", ".join(f"{value:.4f}" for value in dice_of(net, x[held_out], y[held_out]))
    click.echo(f"Dice of the held-out slab: {dice}")
    state = {key: value for key, value in net.state_dict().items() if "num_batches" not in key}
    save_file(state, output)
    click.echo(f"{output}: {output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
