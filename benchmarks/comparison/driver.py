"""One size from start to end: workers prepared one after another, labels compared, rounds timed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.comparison.contract import Materials
from benchmarks.comparison.results import EngineComparison, compare
from benchmarks.comparison.roster import Contender
from benchmarks.comparison.rounds import Turn, take_rounds
from benchmarks.comparison.workers import EngineProcess, WorkerError, interpreter

__all__ = ["run_size"]

PREPARING, LABELLING, TURN = 600.0, 300.0, 120.0  # seconds, at most, for a worker

Say = Callable[[str], None]


def run_size(
    materials: Materials,
    contenders: Sequence[Contender],
    environments: Path,
    seconds: float,
    say: Say = lambda _line: None,
) -> EngineComparison:
    """All engines at one size. One that fails becomes a row with the reason, and the others go on.

    Args:
        materials: of this size.
        contenders: the rows to measure.
        environments: the folder of the virtual environments.
        seconds: of timing for each contender.
        say: gets a line after each step.
    """
    workers: dict[str, EngineProcess] = {}
    ran: dict[str, tuple[str, Mapping[str, str]]] = {}
    agreements: dict[str, float] = {}
    reasons: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        for place, one in enumerate(contenders):
            worker = None
            try:
                worker = _started(one, materials, environments)
                ready = worker.ready(PREPARING)
                agreements[one.slug] = _agreement(worker, one, materials)
            except WorkerError as error:
                reasons[one.slug] = str(error)
                if worker is not None:
                    worker.close()
            else:
                workers[one.slug] = stack.enter_context(worker)
                ran[one.slug] = (str(ready["how"]), ready["versions"])
            word = reasons.get(one.slug) or f"{100 * agreements[one.slug]:.2f} % of the labels"
            say(f"{materials.size}  {place + 1}/{len(contenders)}  {one.name} {one.variant}: {word}")
        turns: dict[str, Turn] = {slug: _turn(worker) for slug, worker in workers.items()}

        def watch(done: int) -> None:
            say(f"{materials.size}  round {done}")

        rounds = take_rounds(turns, seconds, WorkerError, watch) if turns else None
    if rounds is not None:
        reasons |= rounds.failed
    timed = rounds.seconds if rounds is not None else {}
    return compare(materials.size, contenders, timed, agreements, ran, reasons)


def _started(one: Contender, materials: Materials, environments: Path) -> EngineProcess:
    home = Path(sys.executable) if one.environment is None else interpreter(one.environment, environments)
    log = materials.folder / f"{one.slug}.log"
    described = materials.folder / "materials.json"
    return EngineProcess(home, one.engine, one.variant, described, materials.threads, log)


def _agreement(worker: EngineProcess, one: Contender, materials: Materials) -> float:
    """The share of labels equal to PyTorch's, over all pixels of all frames."""
    path = materials.folder / f"{one.slug}.labels.npy"
    worker.ask({"label": str(path)}, LABELLING)
    labels = np.load(path)
    path.unlink()
    return float(np.mean(labels == materials.reference()))


def _turn(worker: EngineProcess) -> Turn:
    def take(frames: int) -> list[float]:
        answer: list[float] = worker.ask({"time": frames}, TURN)["seconds"]
        return answer

    return take
