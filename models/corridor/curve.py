"""Plots the learning curve from the histories that training writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from models.corridor.classes import COLORS, NAMES

if TYPE_CHECKING:
    from pathlib import Path


def draw(folder: Path, target: Path) -> None:
    """One row per `*.history.json` in `folder`: loss, and IoU on the validation frames, over minutes."""
    histories = {
        p.name.removesuffix(".history.json"): json.loads(p.read_text()) for p in folder.glob("*.history.json")
    }
    figure, axes = plt.subplots(len(histories), 2, figsize=(11, 3.6 * len(histories)), squeeze=False)
    for (left, right), (name, history) in zip(axes, sorted(histories.items()), strict=True):
        minutes = [h["seconds"] / 60 for h in history]
        left.plot(minutes, [h["loss"] for h in history], "k.-")
        left.set(title=f"{name}: training loss", xlabel="minutes", ylim=(0, None))
        for k, class_name in enumerate(NAMES):
            color = tuple(c / 255 for c in COLORS[k])
            right.plot(minutes, [h["iou"][k] for h in history], color=color, lw=1, label=class_name)
        right.plot(minutes, [h["mean_iou"] for h in history], "k.-", lw=2, label="mean")
        right.set(title=f"{name}: IoU on validation frames", xlabel="minutes", ylim=(0, 1))
        right.grid(alpha=0.3)
        right.legend(fontsize=7, loc="lower right", ncols=2)
    figure.tight_layout()
    figure.savefig(target, dpi=80)
    plt.close(figure)
