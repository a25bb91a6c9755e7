"""How far each stage of a frame is from what the processor can do: products, bytes, and the time they take.

    normalization   reads the image once and writes it once as float32
    network         its products at the peak of the processor, or its tensors once through memory, whichever
                    takes longer
    head            reads the logits before their upsampling once and writes the labels once
    call            needs no time at all

A limit is a lower bound: caches can beat the one of memory, and nothing reaches all of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fcn_edge_runtime.benchmark.frames import Size, computed_frame
from fcn_edge_runtime.benchmark.machine import Machine, this_machine
from fcn_edge_runtime.benchmark.operators import profile_model
from fcn_edge_runtime.benchmark.overhead import measure_overhead
from fcn_edge_runtime.benchmark.peaks import Peaks, measure_peaks
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.dry_run.tensor import Known
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.model.protobuf.summary import GraphView, read_model
from fcn_edge_runtime.model.protobuf.views import NodeView
from fcn_edge_runtime.progress import Progress, Stages
from fcn_edge_runtime.segmenter import Segmenter
from fcn_edge_runtime.session.session import Session
from fcn_edge_runtime.timing import interleaved

__all__ = ["ModelLimits", "StageLimit", "Work", "measure_limits", "work_of"]

DEFAULT_SIZE = (480, 640)
_BETWEEN = "between operators"
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class Work:
    """What a network does for one image.

    Attributes:
        float_macs: multiplications and additions in float.
        int8_macs: in integers of eight bits.
        moved: bytes of all inputs, weights and outputs of the operators that multiply, each once.
    """

    float_macs: int
    int8_macs: int
    moved: int


@dataclass(frozen=True)
class StageLimit:
    """A stage of a frame.

    Attributes:
        name: of the stage.
        ms: its time.
        limit_ms: the least that the processor needs; None where nothing is computed.
        by: what that is limited by: "products", "memory", or nothing.
    """

    name: str
    ms: float
    limit_ms: float | None = None
    by: str = ""


@dataclass(frozen=True)
class ModelLimits:
    """One model at one size.

    Attributes:
        name, precision: of the file.
        provider: that ran it, by onnxruntime's name.
        threads: on the CPU.
        size: (height, width) of the frame.
        work: of its network.
        peaks: of the processor.
        frame_ms: a frame, from array to labels, median.
        stages: in their order. They take the frame's time, in the shares of onnxruntime's profiler.
        machine: where it was measured.
    """

    name: str
    precision: str
    provider: str
    threads: int
    size: Size
    work: Work
    peaks: Peaks
    frame_ms: float
    stages: tuple[StageLimit, ...]
    machine: Machine

    @property
    def limit_ms(self) -> float:
        """The least that a frame needs, all stages together."""
        return sum(stage.limit_ms or 0.0 for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {**asdict(self), "limit_ms": self.limit_ms}


def measure_limits(
    path: str | os.PathLike[str],
    size: Size | None = None,
    *,
    device: str = "auto",
    threads: int | None = None,
    seconds: float = 5.0,
    progress: Progress | None = None,
) -> ModelLimits:
    """Measure the stages of a model's frame and the peaks of the processor, on computed frames.

    Args:
        path: the model.
        size: (height, width) of the frames; None is 480x640, or the smallest that the network takes.
        device: as for `Segmenter`.
        threads: on the CPU; None means all cores this process may use.
        seconds: for all measurements.
        progress: receives each phase as a stage.

    Raises:
        UsageError: a size below the smallest that the network takes, or a device other than the CPU's.
        ModelError, ProviderError, VerificationError: the model or the device, as for `Segmenter`.
    """
    machine, phases = this_machine(), Stages(progress)
    with Segmenter(path, device, threads, outputs=("labels",)) as segmenter:
        session, card = segmenter.session, segmenter.card
        if session.device not in ("cpu", "openvino"):
            raise UsageError(f"got the device {session.device}, expected the processor's: give --device cpu")
        smallest = card.geometry.smallest_size
        height, width = size or (max(DEFAULT_SIZE[0], smallest), max(DEFAULT_SIZE[1], smallest))
        if min(height, width) < smallest:
            raise UsageError(f"got the size {height}x{width}, expected at least {smallest} each way")
        frame = computed_frame(card.input, (height, width))
        with ModelFile.open(path) as model:
            known = model.limits.follow(1, height, width, card.input.channels)
            graph = read_model(model.data())[1]
        with phases.stage("peaks"):
            bf16 = bool(session.options.bf16)
            peaks = measure_peaks(session.device, session.threads, seconds / 2, bf16=bf16)
        with phases.stage("frames"):
            timings = interleaved([lambda: segmenter(frame)], seconds=seconds / 6, fewest=5, most=1000)
        with phases.stage("call"):
            overhead = measure_overhead(segmenter, frame, seconds=seconds / 6)
        with phases.stage("operators"):
            profile = profile_model(
                os.fspath(path),
                session.device,
                session.threads,
                [frame],
                options=session.options,
                seconds=seconds / 6,
            )
    work = work_of(graph, known)
    frame_ms = 1000 * float(np.median(timings.seconds))
    parts = {**profile.stages, _BETWEEN: profile.between_ms}
    scale = max(frame_ms - overhead.ms, 0.0) / (sum(parts.values()) or 1.0)
    times = {name: ms * scale for name, ms in parts.items()}
    return ModelLimits(
        os.path.basename(os.fspath(path)),  # noqa: PTH119 - a name, for people
        card.precision,
        session.provider,
        session.threads,
        (height, width),
        work,
        peaks,
        frame_ms,
        (*_stages(times, session, work, peaks, known), StageLimit("call", overhead.ms)),
        machine,
    )


def work_of(graph: GraphView, known: Mapping[str, Known]) -> Work:
    """What the network of a graph does for an image.

    Args:
        graph: of the file.
        known: its tensors for an image, from `DryRun.follow`.
    """
    makers = {name: node for node in graph.nodes for name in node.outputs}
    macs, moved = {True: 0, False: 0}, 0
    for node in graph.nodes:
        names = (*node.inputs[:2], *node.outputs[:1])
        if node.op_type not in _PRODUCTS or not known.keys() >= set(names):
            continue
        tensors = [known[name] for name in names]
        if all(tensor.constant for tensor in tensors[:2]):
            continue
        integers = all(_dequantized(makers.get(name)) for name in node.inputs[:2])
        macs[integers] += _macs(node, *tensors)
        moved += sum(tensor.elements if integers else tensor.bytes for tensor in tensors)
    return Work(macs[False], macs[True], moved)


def _dequantized(maker: NodeView | None) -> bool:
    return maker is not None and maker.op_type == "DequantizeLinear"


def _macs(node: NodeView, data: Known, weights: Known, made: Known) -> int:
    if node.op_type == "Conv":  # weights [M, C / group, kernel...]
        return made.elements * (weights.elements // weights.dims[0])
    if node.op_type == "ConvTranspose":  # weights [C, M / group, kernel...]
        return data.elements * (weights.elements // weights.dims[0])
    if node.op_type == "Gemm":
        return made.elements * data.dims[0 if node.number("transA", 0) else 1]
    return made.elements * data.dims[-1]


def _stages(
    times: Mapping[str, float], session: Session, work: Work, peaks: Peaks, known: Mapping[str, Known]
) -> list[StageLimit]:
    image = known["image"]
    products = work.float_macs / peaks.float_macs + work.int8_macs / peaks.int8_macs
    memory = work.moved / peaks.copied
    logits = known.get("logits_low" if session.head is None else session.head.logits) or known["logits"]
    written, read = image.bytes + 4 * image.elements, logits.bytes + known["labels"].bytes
    head = f"head in {'the graph' if session.head is None else 'numpy'}"
    by = "products" if products > memory else "memory"
    found = [
        StageLimit("normalization", times["before"], 1000 * written / peaks.copied, "memory"),
        StageLimit("network", times["network"], 1000 * max(products, memory), by),
        StageLimit(head, times["head"], 1000 * read / peaks.copied, "memory"),
        StageLimit(_BETWEEN, times[_BETWEEN]),
    ]
    # OpenVINO runs the graph as one operator.
    return [stage for stage in found if stage.ms > 0]
