"""The range of every activation over calibration frames, in memory that does not grow with their number.

Minimum and maximum are computed inside the graph, so that only two numbers per tensor come back. Percentile
and entropy also need a histogram: a second pass counts values in `BINS` equal bins between the two. The graph
itself picks the values that are counted, so that one run gives those of all tensors.

    minmax      the full range
    percentile  all but the outermost hundredth of a percent
    entropy     the clipping that loses least information: the smallest Kullback-Leibler divergence between
                the counts and the same counts in 256 levels (Migacz, "8-bit inference with TensorRT",
                GTC 2017)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from fcn_edge_export.graph.nodes import Nodes
from fcn_edge_runtime._overlap import overlapped
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.session.session import open_session

__all__ = ["METHODS", "Range", "activation_ranges", "clipped_by_entropy", "clipped_by_percentile"]

Array = npt.NDArray[Any]
Frames = Callable[[], Iterable[Array]]
Range = tuple[float, float]

METHODS = ("minmax", "percentile", "entropy")
BINS = 2048
LEVELS = 256
KEPT = 0.9999
SHARES = np.linspace(0.2, 1.0, 81)  # how much of the range entropy tries to keep
SAMPLED = 1 << 16  # values counted per tensor and frame, evenly spaced


@dataclass
class _Spread:
    """Histogram of one tensor's values in equal bins between its minimum and its maximum."""

    low: float
    high: float
    counts: npt.NDArray[np.int64]

    def add(self, values: Array) -> None:
        bins = (values - self.low) * (BINS / (self.high - self.low))
        self.counts += np.bincount(np.clip(bins.astype(np.int32), 0, BINS - 1), minlength=BINS)


def activation_ranges(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    frames: Frames,
    method: str = "minmax",
    known: Mapping[str, Range] | None = None,
) -> dict[str, Range]:
    """(minimum, maximum) of each tensor, clipped by the method.

    Args:
        model: the float model.
        tensors: names of float values in it.
        frames: called for each pass: gives the batches (N, H, W, C), one at a time.
        method: one of `METHODS`.
        known: ranges that no frame can leave: these are taken as they are.

    Raises:
        UsageError: the method is unknown.
    """
    if method not in METHODS:
        raise UsageError(f"got the method {method!r}, expected one of {', '.join(METHODS)}")
    known = {name: span for name, span in (known or {}).items() if name in tensors}
    outer = _outer_ranges(model, [name for name in tensors if name not in known], frames)
    spreads = _spreads(model, outer, frames) if method != "minmax" else {}
    clip = clipped_by_percentile if method == "percentile" else clipped_by_entropy
    clipped = {name: clip(spread.counts, *outer[name]) for name, spread in spreads.items()}
    return {**outer, **clipped, **known}


def clipped_by_percentile(counts: npt.NDArray[np.int64], low: float, high: float) -> Range:
    """The range without the outermost (1 - KEPT) of all values, half of them at each end."""
    total = np.cumsum(counts) / counts.sum()
    outside = (1 - KEPT) / 2
    width = (high - low) / BINS
    first = int(np.searchsorted(total, outside, side="right"))
    last = int(np.searchsorted(total, 1 - outside, side="left"))
    return low + first * width, low + (last + 1) * width


def clipped_by_entropy(counts: npt.NDArray[np.int64], low: float, high: float) -> Range:
    """The range [s low, s high] with the smallest KL(counts || counts in 256 levels)."""
    width = (high - low) / BINS
    if low <= 0 <= high:
        # Zero is always one of the levels, so the many zeros behind a ReLU lose nothing at any clipping.
        counts = counts.copy()
        counts[min(int(-low / width), BINS - 1)] = 0
    best, kept = np.inf, (low, high)
    if not counts.any():
        return kept
    for share in SHARES:
        first = max(0, round((share * low - low) / width))
        last = min(BINS, round((share * high - low) / width))
        if last - first < LEVELS:
            continue
        loss = _divergence(counts, first, last)
        if loss < best:
            best, kept = loss, (low + first * width, low + last * width)
    return kept


def _divergence(counts: npt.NDArray[np.int64], first: int, last: int) -> float:
    """KL divergence between the counts clipped to bins first..last and those bins in 256 levels."""
    inside = counts[first:last].astype(np.float64)
    clipped = inside.copy()
    clipped[0] += counts[:first].sum()
    clipped[-1] += counts[last:].sum()
    level = np.arange(inside.size) * LEVELS // inside.size
    used = inside > 0
    share = np.bincount(level, inside, LEVELS) / np.maximum(np.bincount(level, used, LEVELS), 1)
    leveled = np.where(used, share[level], 0.0)
    p, q = clipped / clipped.sum(), leveled / max(leveled.sum(), 1.0)
    # A value clipped into an empty bin has no level there: a small number stands in for zero.
    seen = p > 0
    return float((p[seen] * np.log(p[seen] / np.maximum(q[seen], 1e-9))).sum())


def _outer_ranges(model: onnx.ModelProto, tensors: Sequence[str], frames: Frames) -> dict[str, Range]:
    outputs = [f"fcn_edge/{what}/{i}" for i in range(len(tensors)) for what in ("least", "greatest")]
    more = onnx.ModelProto()
    for name, low, high in zip(tensors, outputs[::2], outputs[1::2], strict=True):
        more.graph.node.append(helper.make_node("ReduceMin", [name], [low], keepdims=0))
        more.graph.node.append(helper.make_node("ReduceMax", [name], [high], keepdims=0))
    more.graph.output.extend(helper.make_tensor_value_info(o, TensorProto.FLOAT, []) for o in outputs)
    # Concatenated protobuf messages are merged, so no copy of the weights is made.
    session = open_session(model.SerializeToString() + more.SerializeToString(), "cpu")
    least, greatest = np.full(len(tensors), np.inf), np.full(len(tensors), -np.inf)

    def ends(found: Mapping[str, Array]) -> Array:
        return np.array([float(value) for value in found.values()])

    for future in overlapped(frames(), lambda batch: session.run(batch, outputs), ends, np.size):
        values = future.result()
        least, greatest = np.minimum(least, values[::2]), np.maximum(greatest, values[1::2])
    return {name: (float(a), float(b)) for name, a, b in zip(tensors, least, greatest, strict=True)}


def _spreads(model: onnx.ModelProto, outer: Mapping[str, Range], frames: Frames) -> dict[str, _Spread]:
    wanted = [name for name, (low, high) in outer.items() if high > low]
    spreads = [_Spread(*outer[name], np.zeros(BINS, np.int64)) for name in wanted]
    if not spreads:
        return {}
    out, names = Nodes(), [f"fcn_edge/sample/{index}" for index in range(len(wanted))]
    _sample(out, dict(zip(wanted, names, strict=True)))
    more = onnx.ModelProto()
    more.graph.node.extend(out.nodes)
    more.graph.initializer.extend(out.constants)
    more.graph.output.extend(helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names)
    session = open_session(model.SerializeToString() + more.SerializeToString(), "cpu")

    def count(sampled: Mapping[str, Array]) -> None:
        for spread, values in zip(spreads, sampled.values(), strict=True):
            spread.add(values)

    for future in overlapped(frames(), lambda batch: session.run(batch, names), count, np.size):
        future.result()
    return dict(zip(wanted, spreads, strict=True))


def _sample(out: Nodes, names: Mapping[str, str]) -> None:
    """Add the nodes that pick values of each tensor, under its new name: 2 `SAMPLED` at most, evenly spaced.

    The step is odd, 2 (size / (2 SAMPLED)) + 1, so that it visits every column of an image of even width.
    """
    minus, zero, one, two, most = (
        out.constant(f"sample/{name}", np.array([value], np.int64))
        for name, value in (("minus", -1), ("zero", 0), ("one", 1), ("two", 2), ("most", 2 * SAMPLED))
    )
    for value, name in names.items():
        flat = out.add("Reshape", [value, minus], f"{name}/values")
        size = out.add("Shape", [flat], f"{name}/size")
        half = out.add("Div", [size, most], f"{name}/half")
        even = out.add("Mul", [half, two], f"{name}/even")
        step = out.add("Add", [even, one], f"{name}/step")
        out.add("Slice", [flat, zero, size, zero, step], name)
