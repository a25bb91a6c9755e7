"""The time of a frame, and the share of labels that equal the float file's on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benchmarks.gpu.files import Subject, frames_of_size
from benchmarks.gpu.pytorch import Label, compiled, eager
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import FcnEdgeError
from fcn_edge_runtime.session.session import SessionOptions
from fcn_edge_runtime.timing import interleaved

__all__ = ["Row", "fastest", "rows"]


@dataclass(frozen=True)
class Row:
    """One way to run one network at one size and batch.

    Attributes:
        network: the recipe.
        how: precision and options.
        size: (height, width).
        batch: frames in one call.
        milliseconds: of one frame, median of the rounds, copies in and out included; None if it did not run.
        ratio: of its time to that of the first way that ran, PyTorch in float32, in the same rounds.
        labels: share that equals the float file's on the CPU.
        why: the reason where it did not run.
    """

    network: str
    how: str
    size: tuple[int, int]
    batch: int
    milliseconds: float | None = None
    ratio: float | None = None
    labels: float | None = None
    why: str = ""


def rows(
    subject: Subject, size: tuple[int, int], batch: int, device: str, seconds: float, *, compile_too: bool
) -> list[Row]:
    """Run all ways in turn, interleaved."""
    frames = frames_of_size(*size, batch)
    with Segmenter(subject.files["float"], "cpu", outputs=("labels",)) as segmenter:
        expected = segmenter(frames).labels
    ways: dict[str, Label] = {}
    found: list[Row] = []
    for how, opened in _ways(subject, size, batch, device, compile_too=compile_too).items():
        try:
            ways[how] = opened()
            ways[how](frames)
        except (FcnEdgeError, RuntimeError) as error:
            ways.pop(how, None)
            found.append(Row(subject.name, how, size, batch, why=str(error).splitlines()[0][:300]))
    timings = interleaved([partial(run, frames) for run in ways.values()], seconds=seconds, fewest=9, most=99)
    for index, (how, run) in enumerate(ways.items()):
        milliseconds = float(np.median(timings.seconds[:, index])) * 1000 / batch
        found.append(
            Row(
                subject.name,
                how,
                size,
                batch,
                round(milliseconds, 4),
                round(timings.ratio(index, 0).median, 3),
                round(float((run(frames) == expected).mean()), 6),
            )
        )
    return found


def _ways(
    subject: Subject, size: tuple[int, int], batch: int, device: str, *, compile_too: bool
) -> dict[str, Callable[[], Label]]:
    ways: dict[str, Callable[[], Label]] = {
        "PyTorch, float32": partial(eager, subject, device, half=False),
        "PyTorch, float16, channels_last": partial(eager, subject, device, half=True),
    }
    if compile_too:
        ways["PyTorch, float16, torch.compile"] = partial(compiled, subject, device)
    one = SessionOptions(size=size)
    for precision in subject.files:
        ways[precision] = partial(_opened, subject, precision, device, SessionOptions())
        if batch == 1:
            ways[f"{precision}, one size"] = partial(_opened, subject, precision, device, one)
    if device == "cuda" and "fp16" in subject.files:
        first = SessionOptions(nhwc=False)
        ways["fp16, channels first"] = partial(_opened, subject, "fp16", device, first)
        if batch == 1:
            both = replace(first, size=size)
            ways["fp16, channels first, one size"] = partial(_opened, subject, "fp16", device, both)
    return ways


def _opened(subject: Subject, precision: str, device: str, options: SessionOptions) -> Label:
    segmenter = Segmenter(subject.files[precision], device, outputs=("labels",), options=options)
    return lambda frames: segmenter(frames).labels


def fastest(found: Sequence[Row]) -> str:
    """The fastest way, for the log."""
    timed = [row for row in found if row.milliseconds is not None]
    if not timed:
        return "nothing ran"
    best = min(timed, key=lambda row: row.milliseconds or 0.0)
    return f"fastest: {best.how}, {best.milliseconds} ms a frame"
