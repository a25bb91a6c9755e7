"""Trains a network on rendered frames. `python -m models.corridor.train --net corridor --minutes 40`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image

from models.corridor import data, networks, training
from models.corridor.curve import draw

CALIBRATION = Path(__file__).parent / "calibration"

VALIDATIONS = 8
"""Number of validations in a training."""

SAVE_EVERY = 120.0
"""Seconds between checkpoints."""


class TrainingProgress:
    """Prints progress; validates and saves at intervals."""

    def __init__(
        self, plan: training.Plan, checkpoint: Path, validation: tuple[np.ndarray, np.ndarray], times: int
    ) -> None:
        self.plan, self.checkpoint, self.validation, self.times = plan, checkpoint, validation, times
        self.losses: list[float] = []
        self.began = self.saved = time.monotonic()
        self.first: float | None = None

    def __call__(self, state: training.State, value: float) -> None:
        """After each step."""
        self.losses.append(value)
        done = self.plan.progress(state.step)
        if self.first is None:
            self.first = done
        elif done > self.first and state.step % 5 == 0:
            left = (time.monotonic() - self.began) / (done - self.first) * (1 - done)
            click.echo(
                f"\rstep {state.step}/{self.plan.total}  loss {np.mean(self.losses[-50:]):.3f}  "
                f"{left / 60:.1f} min left  ",
                err=True,
                nl=False,
            )
        before = self.plan.progress(state.step - 1)
        if int(done * self.times) > int(before * self.times):
            training.validate(self.plan, state, *self.validation)
            state.history[-1]["loss"] = float(np.mean(self.losses))
            self.losses.clear()
            each = " ".join(f"{v:.2f}" for v in state.history[-1]["iou"])
            click.echo(f"\nvalidation {state.history[-1]['mean_iou']:.4f} ({each})", err=True)
        elif time.monotonic() - self.saved < SAVE_EVERY:
            return
        training.save(state, self.plan, self.checkpoint)
        self.saved = time.monotonic()


def _steps_for(
    net: str, minutes: float, images: np.ndarray, labels: np.ndarray, device: str
) -> tuple[int, ...]:
    """How many steps of each phase fit into the time, measured on three steps of each."""
    phases = networks.NETS[net].phases
    counts = []
    for k, phase in enumerate(phases):
        trial = training.Plan(net, tuple(0 if j < k else 4 for j in range(len(phases))))
        state = training.start(trial, device)
        training.run(trial, state, images, labels, until=1, device=device, report=lambda *_: None)
        began = time.monotonic()
        training.run(trial, state, images, labels, until=4, device=device, report=lambda *_: None)
        seconds = (time.monotonic() - began) / 3
        counts.append(max(2, round(phase.share * minutes * 60 / seconds)))
    return tuple(counts)


def smoke_frames() -> tuple[np.ndarray, np.ndarray]:
    """Eight of the shipped training frames, so that a smoke run does not need a renderer."""
    names = sorted(p.stem for p in (CALIBRATION / "labels").glob("*.png"))[:8]
    images = [np.asarray(Image.open(CALIBRATION / f"{n}.jpg").convert("RGB")) for n in names]
    labels = [np.asarray(Image.open(CALIBRATION / "labels" / f"{n}.png")) for n in names]
    return np.stack(images), np.stack(labels)


@click.command()
@click.option("--net", type=click.Choice(list(networks.NETS)), default="corridor", show_default=True)
@click.option(
    "--frames", default=8400, show_default=True, help="Training frames; what is not cached is rendered."
)
@click.option("--minutes", default=40.0, show_default=True, help="Plan as many steps as fit into this time.")
@click.option("--steps", help="Plan exactly these steps for each phase, e.g. 4000,800; --minutes is ignored.")
@click.option(
    "--until",
    type=click.IntRange(1),
    help="Stop after this step of the plan, and keep the averaged weights of that moment.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    help="Seed of the initial weights and all random choices.",
)
@click.option(
    "--init",
    type=click.Path(path_type=Path),
    help="Start from these weights (safetensors), not from random ones.",
)
@click.option("--resume", is_flag=True, help="Continue from the checkpoint, with its plan.")
@click.option(
    "--smoke", is_flag=True, help="A few steps on eight shipped frames, to check that everything runs."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--threads", default=0, help="CPU threads; 0 leaves it to PyTorch.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("build/corridor"), show_default=True
)
def main(
    net: str, frames: int, minutes: float, steps: str | None, until: int | None, seed: int, device: str,
    threads: int, output: Path, init: Path | None, *, resume: bool, smoke: bool,
) -> None:  # fmt: skip
    """Train a network; checkpoint, best weights, history and learning curve go to the output folder."""
    if threads:
        torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    output.mkdir(parents=True, exist_ok=True)
    checkpoint = output / f"{net}.ckpt"
    if smoke:
        images, labels = smoke_frames()
        validation = images[:2], labels[:2]
    else:
        validation = data.frames(data.validation_seeds(96))
        images, labels = data.frames(data.TRAINING[:frames])
    if resume:
        plan, state = training.resume(checkpoint, device)
    else:
        if smoke:
            counts = (6, *(2 for _ in networks.NETS[net].phases[1:]))
        elif steps:
            counts = tuple(int(s) for s in steps.split(","))
        else:
            counts = _steps_for(net, minutes, images, labels, device)
        plan = training.Plan(net, counts, seed)
        state = training.start(plan, device)
        if init:
            state.model.load_state_dict(networks.load(net, init).state_dict())
            state.average = {k: v.clone() for k, v in state.model.state_dict().items()}
    click.echo(
        f"{net}: --steps {','.join(map(str, plan.steps))} on {device}, from step {state.step}", err=True
    )
    progress = TrainingProgress(plan, checkpoint, validation, 2 if smoke else VALIDATIONS)
    end = min(until or plan.total, plan.total)
    training.run(plan, state, images, labels, until=end, device=device, report=progress)
    training.save(state, plan, checkpoint)
    networks.save(state.best if end == plan.total else state.average, output / f"{net}.safetensors")
    (output / f"{net}.history.json").write_text(json.dumps(state.history, indent=1) + "\n")
    draw(output, output / "learning_curve.png")
    best = f"best validation mean IoU {state.best_score:.4f}" if state.history else "not validated yet"
    click.echo(f"{best}, {state.seconds / 60:.1f} min of steps")


if __name__ == "__main__":
    sys.exit(main())
