"""The changes that `search` tries: each is a name in words, and the options with one thing changed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

from fcn_edge_runtime.session.config import OPTIMIZATIONS
from fcn_edge_runtime.session.profile import ProfileOptions
from fcn_edge_runtime.session.session import HEADS

__all__ = ["Candidates", "bfloat16", "devices", "heads", "memory", "optimizations", "threads"]


Candidates = Iterator[tuple[str, ProfileOptions]]


def devices(now: ProfileOptions, others: Iterable[str]) -> Candidates:
    """Every other device, without what only this one has."""
    for name in others:
        yield f"device {name}", replace(now, device=name, bf16=False)


def heads(now: ProfileOptions) -> Candidates:
    """Every other way to compute labels from logits."""
    for head in HEADS:
        if head != now.head:
            yield f"head in {head}", replace(now, head=head)


def bfloat16(now: ProfileOptions) -> Candidates:
    """bfloat16, where the device is OpenVINO."""
    if now.device == "openvino" and not now.bf16:
        yield "bfloat16", replace(now, bf16=True)


def threads(now: ProfileOptions, most: int) -> Candidates:
    """Powers of two and the maximum, each with idle threads that sleep and that spin."""
    if now.device != "cpu":
        return
    numbers = sorted({2**power for power in range(most.bit_length()) if 2**power < most} | {most})
    for number, spinning in itertools.product(reversed(numbers), (False, True)):
        options = replace(now, threads=number, spinning=spinning)
        if options != now and not (number == 1 and spinning):
            plural = "thread" if number == 1 else "threads"
            waiting = "" if number == 1 else ", spinning" if spinning else ", sleeping"
            yield f"{number} {plural}{waiting}", options


def optimizations(now: ProfileOptions) -> Candidates:
    """The other levels of graph optimization, except none at all."""
    for level in OPTIMIZATIONS:
        if level not in (now.optimization, "none"):
            yield f"optimization {level}", replace(now, optimization=level)


def memory(now: ProfileOptions) -> Candidates:
    """Other ways to hold memory between frames, on the CPU."""
    if now.device == "cpu":
        yield "no memory arena", replace(now, cpu_arena=False)
        yield "memory pattern", replace(now, mem_pattern=True)
