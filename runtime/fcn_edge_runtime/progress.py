"""What an export tells whoever watches: stages as they start and end, and inputs as they are verified."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Progress", "Silent", "Stage", "Stages"]


@dataclass(frozen=True)
class Stage:
    """A stage that is done: its name, its wall time in seconds, and what it did in a few words."""

    name: str
    seconds: float
    summary: str


class Progress(Protocol):
    """A listener. `step` is called within a stage that has parts."""

    def started(self, name: str) -> None:
        """A stage begins."""

    def step(self, done: int, total: int) -> None:
        """`done` of `total` parts of the current stage are done."""

    def finished(self, stage: Stage) -> None:
        """A stage is done."""


class Silent:
    """The listener that shows nothing."""

    def started(self, name: str) -> None:
        """Nothing."""

    def step(self, done: int, total: int) -> None:
        """Nothing."""

    def finished(self, stage: Stage) -> None:
        """Nothing."""


@dataclass
class Summary:
    """What a stage says about itself, filled in while it runs."""

    text: str = ""


@dataclass
class Stages:
    """Times each stage, tells the listener, and keeps the list for the report."""

    listener: Progress
    done: list[Stage] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[Summary]:
        """Run a stage. The body sets `.text` on what it is given. A stage that raises is not listed."""
        self.listener.started(name)
        summary, begun = Summary(), time.perf_counter()
        yield summary
        stage = Stage(name, time.perf_counter() - begun, summary.text)
        self.done.append(stage)
        self.listener.finished(stage)
