"""The training loop: a pure function of its plan and its frames, can be interrupted and resumed at any step.

Every random choice of a step comes from a generator seeded with the step's number, so a checkpoint does not
need the state of any generator: only model, optimizer and the number of steps done.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fcn_edge_runtime._files import part_of, place
from fcn_edge_runtime.evaluation.metrics import confusion_matrix, scores_of
from models.corridor import networks
from models.corridor.augment import batch
from models.corridor.classes import DOOR, NAMES, PERSON, ROBOT
from models.corridor.losses import loss

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from models.corridor.networks import Phase

WARM_UP = 0.04
MEMORY = 300
"""About the number of last steps in the averaged weights."""
WEIGHT_DECAY = 0.02


@dataclass(frozen=True)
class Plan:
    """What to train: a network of `networks.NETS`, the steps of each phase, and the seed of every choice."""

    net: str
    steps: tuple[int, ...]
    seed: int = 0

    @property
    def total(self) -> int:
        """Steps of all phases."""
        return sum(self.steps)

    def phase(self, step: int) -> int:
        """The phase that a step belongs to."""
        return int(np.searchsorted(np.cumsum(self.steps), step, side="right"))

    def progress(self, step: int) -> float:
        """The share of the training time that is over at a step, 0..1, counting each phase by its share."""
        phases = networks.NETS[self.net].phases
        at = self.phase(step)
        if at == len(self.steps):
            return 1.0
        inside = (step - sum(self.steps[:at])) / self.steps[at]
        return (sum(p.share for p in phases[:at]) + inside * phases[at].share) / sum(p.share for p in phases)

    def rate(self, step: int) -> float:
        """The learning rate's factor: a linear warm-up, then a cosine down to a hundredth."""
        done = self.progress(step)
        return (
            min((done - self.progress(0)) / WARM_UP, 1.0)
            * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
            + 1e-4
        )


@dataclass
class State:
    """The state of a training.

    `average` is the running average of the state dict over the last steps (Polyak and Juditsky, 1992), which
    is scored and kept: it has the effect of a longer, slower training. `best` has the highest score.
    """

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor]
    step: int = 0
    best_score: float = -1.0
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


def start(plan: Plan, device: str, step: int = 0) -> State:
    """An untrained state, with the network of the phase of `step`."""
    net = networks.NETS[plan.net]
    torch.manual_seed(plan.seed)
    phase = net.phases[min(plan.phase(step), len(net.phases) - 1)]
    model = networks.build(plan.net, phase.options or None).to(device).train()
    with torch.no_grad():
        last_convolution(
            model
        ).weight *= 0.1  # start undecided: confident first guesses cost the first hundred steps
    optimizer = torch.optim.AdamW(_groups(model), lr=net.learning_rate, betas=(0.9, 0.99), fused=True)
    return State(model, optimizer, {k: v.clone() for k, v in model.state_dict().items()}, step)


def last_convolution(model: torch.nn.Module) -> torch.nn.Conv2d:
    """The convolution that computes the logits, before upsampling."""
    return [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)][-1]


def _groups(model: torch.nn.Module) -> list[dict[str, Any]]:
    """Weight decay applies only to kernels: biases and norms have one number per channel."""
    kernels = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": kernels, "weight_decay": WEIGHT_DECAY}, {"params": rest, "weight_decay": 0.0}]


def save(state: State, plan: Plan, path: Path) -> None:
    """Writes a checkpoint, whole or not at all."""
    stored = {
        "net": plan.net,
        "steps": list(plan.steps),
        "seed": plan.seed,
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "average": state.average,
        "step": state.step,
        "best_score": state.best_score,
        "best": state.best,
        "history": state.history,
        "seconds": state.seconds,
    }
    with part_of(path) as part:
        torch.save(stored, part)
        place((part, path))


def resume(path: Path, device: str) -> tuple[Plan, State]:
    """The plan and the state of a checkpoint; continuing from it gives the result of an uninterrupted run."""
    stored = torch.load(path, map_location=device, weights_only=True)
    plan = Plan(stored["net"], tuple(stored["steps"]), stored["seed"])
    state = start(plan, device, stored["step"])
    state.model.load_state_dict(stored["model"])
    state.optimizer.load_state_dict(stored["optimizer"])
    state.average = stored["average"]
    state.best_score, state.best = stored["best_score"], stored["best"]
    state.history, state.seconds = stored["history"], stored["seconds"]
    return plan, state


def _enter_phase(plan: Plan, state: State, device: str) -> None:
    """Rebuilds the network where a new phase uses other options; weights and optimizer state are kept."""
    fresh = start(plan, device, state.step)
    fresh.model.load_state_dict(state.model.state_dict())
    fresh.optimizer.load_state_dict(state.optimizer.state_dict())
    state.model, state.optimizer = fresh.model, fresh.optimizer


def run(
    plan: Plan,
    state: State,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    *,
    until: int,
    device: str,
    report: Callable[[State, float], None],
) -> None:
    """Trains `state` in place up to step `until`; `report` is called after each step with its loss."""
    net = networks.NETS[plan.net]
    odds = _odds(labels)
    for step in range(state.step, min(until, plan.total)):
        began = time.monotonic()
        at = plan.phase(step)
        if step > 0 and at != plan.phase(step - 1):
            _enter_phase(plan, state, device)
        for group in state.optimizer.param_groups:
            group["lr"] = net.learning_rate * plan.rate(step)
        value = _step(plan, state, net.phases[at], images, labels, odds, device)
        state.step = step + 1
        remember(state)
        state.seconds += time.monotonic() - began
        report(state, value)


@torch.no_grad()
def remember(state: State) -> None:
    """Adds the current weights to the average; early, while they change fast, it forgets faster."""
    keep = 1 - 1 / min(MEMORY, 2 + state.step / 10)
    for name, value in state.model.state_dict().items():
        if value.is_floating_point():
            state.average[name].lerp_(value, 1 - keep)
        else:
            state.average[name].copy_(value)


def _odds(labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How often each frame is drawn: up to four times as often with a person, a robot or a door in it."""
    weights = np.ones(len(labels))
    for k, weight in ((PERSON, 1.0), (ROBOT, 1.5), (DOOR, 0.5)):
        weights += weight * np.array(
            [np.count_nonzero(one[::4, ::4] == k) > one.size / 16 / 100 for one in labels]
        )
    odds: NDArray[np.float64] = weights / weights.sum()
    return odds


def _step(
    plan: Plan,
    state: State,
    phase: Phase,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    odds: NDArray[np.float64],
    device: str,
) -> float:
    rng = np.random.default_rng([plan.seed, state.step])
    torch.manual_seed(int(rng.integers(2**31)))  # for dropout
    chosen = np.sort(rng.choice(len(images), phase.batch, p=odds))
    x, y = batch(rng, images[chosen], labels[chosen], phase.crop, phase.scales)
    x, y = networks.normalize(x.to(device)), y.to(device)
    if phase.stride:
        # Output (i, j) of a coarse grid is output (k i, k j) of the final grid of stride 8, which upsampling
        # puts on pixel 8 k i + 3.5: that pixel's class is the target of this output.
        grids: list[Tensor] = []
        hook = last_convolution(state.model).register_forward_hook(lambda *args: grids.append(args[2]))
        state.model(x)
        hook.remove()
        value = loss(grids[0], y[:, 3 :: phase.stride, 3 :: phase.stride])
    else:
        value = loss(state.model(x), y)
    state.optimizer.zero_grad(set_to_none=True)
    value.backward()  # type: ignore[no-untyped-call] # torch does not annotate it
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), 5.0)
    state.optimizer.step()
    return float(value.detach())


def validate(plan: Plan, state: State, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    """Scores the averaged network on whole frames; the best is kept, the score is added to the history."""
    averaged = networks.build(plan.net).to(next(state.model.parameters()).device)
    averaged.load_state_dict(state.average)
    ours = networks.predict(averaged.eval(), images)
    got = scores_of(confusion_matrix(labels, ours, len(NAMES)))
    iou = [math.nan if value is None else value for value in got.iou]
    state.history.append({"step": state.step, "seconds": state.seconds, "mean_iou": got.mean_iou, "iou": iou})
    if got.mean_iou > state.best_score:
        state.best_score = got.mean_iou
        state.best = {k: v.cpu().clone() for k, v in state.average.items()}
