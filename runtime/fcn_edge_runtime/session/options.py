"""The options of a session, and what they are where they are left to us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.session.devices import release_of, short_name

__all__ = ["AUTO", "CPU", "CUDA", "HEADS", "OPENVINO", "SessionOptions", "cautious", "decided", "shortcuts"]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"
AUTO = "auto"
HEADS = ("graph", "numpy")
# The first release of onnxruntime that limits how long a thread spins.
LIMITS_SPINNING = (1, 26)


@dataclass(frozen=True)
class SessionOptions:
    """Options of a session; the defaults are for edge devices, which share their cores.

    Attributes:
        optimization: onnxruntime's graph optimization: "all", "extended", "basic" or "none".
        cpu_arena: keep freed memory for the next frame; False returns it to the system, at some cost in time.
        mem_pattern: plan the memory of a frame once for each size, and allocate it as one block: for frames
            of one size.
        spinning: let idle threads busy-wait between the operators of a frame, for 30 microseconds at most: as
            fast as waiting without a limit on an idle machine, and nothing lost next to other programs.
            Between frames they sleep. None is True where onnxruntime knows the limit (1.26 and newer).
        tf32: let CUDA multiply with 10-bit mantissas. Results of float files then differ from the verified
            ones; fp16 files always have it on, because their tensor cores depend on this switch.
        bf16: let OpenVINO compute float operators in bfloat16. It changes few labels of int8 files; float
            files do not pass their self-test with it. None is True for int8 files where the processor
            computes in bfloat16.
        nhwc: let CUDA compute convolutions with the channels last. None is True for fp16 files.
        head: what makes labels of logits: "graph", the file's own operators in onnxruntime, or "numpy", which
            takes the logits before upsampling; it is exact, and faster where classes cover areas. With
            "numpy" labels are the only output, and the model is read into memory to be cut. "auto" is numpy
            on the CPU and in OpenVINO, where the model's labels are the argmax of upsampled logits. With
            a `size` OpenVINO itself computes what numpy would, in less time, up to 16 classes.
        size: (height, width) of all frames, one at a time; None takes any size. With fixed shapes OpenVINO
            takes about a tenth less time; onnxruntime on the CPU is hardly faster. On CUDA the network is
            recorded as one CUDA graph, and small networks take half of the time; threads wait for each other.
        profile_prefix: let onnxruntime write the time of each operator to a file whose path begins with this;
            empty for none. It ends with `raw.end_profiling()`.
        config: further session configuration entries of onnxruntime, by key.
        provider_options: further options of the provider, by key; `Segmenter` then runs the self-test first.
    """

    optimization: str = "all"
    cpu_arena: bool = True
    mem_pattern: bool = False
    spinning: bool | None = None
    tf32: bool = False
    bf16: bool | None = None
    nhwc: bool | None = None
    head: str = "graph"
    size: tuple[int, int] | None = None
    profile_prefix: str = ""
    config: Mapping[str, str] = field(default_factory=dict)
    provider_options: Mapping[str, str] = field(default_factory=dict)


def decided(options: SessionOptions, provider: str, precision: str, release: str) -> SessionOptions:
    """The same options with nothing left open.

    Args:
        options: as given.
        provider: that the session is made on.
        precision: of the file, as its card has it; empty where there is no card.
        release: of onnxruntime, such as "1.26.0".

    Raises:
        UsageError: an option is for another provider.
    """
    for name, its in (("bf16", OPENVINO), ("nhwc", CUDA)):
        if getattr(options, name) and provider != its:
            raise UsageError(
                f"got {name} for the device '{short_name(provider)}', expected {short_name(its)}: "
                "leave it out elsewhere"
            )
    spinning, bf16, nhwc = options.spinning, options.bf16, options.nhwc
    if spinning is None:
        spinning = release_of(release) >= LIMITS_SPINNING
    if bf16 is None:
        bf16 = provider == OPENVINO and precision == "int8" and _computes_in_bfloat16()
    if nhwc is None:
        nhwc = provider == CUDA and precision == "fp16"
    return replace(options, spinning=spinning, bf16=bf16, nhwc=nhwc)


def cautious(options: SessionOptions) -> SessionOptions:
    """The same options without what may change labels and was left open."""
    return replace(options, bf16=bool(options.bf16), nhwc=bool(options.nhwc))


def shortcuts(options: SessionOptions) -> str:
    """What in these decided options may change labels, in words; empty if nothing does."""
    return " and ".join(
        words
        for words, wanted in (
            ("float operators in bfloat16", options.bf16),
            ("convolutions with the channels last", options.nhwc),
        )
        if wanted
    )


def _computes_in_bfloat16() -> bool:
    from fcn_edge_runtime.session.cpu import computes_in_bfloat16  # few sessions need to know

    return computes_in_bfloat16()
