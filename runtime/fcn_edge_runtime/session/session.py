"""The only way to an onnxruntime session: on which provider, with which options, after which checks.

onnxruntime falls back to the CPU silently. Here the requested device is used, or an error is raised: it must
be in the build, it must start, and the created session must have nodes on it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime._stdio import captured_output
from fcn_edge_runtime.errors import ModelError, ProviderError, UsageError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.model.golden_vectors import MAX_SIDE
from fcn_edge_runtime.session.config import provider_options, session_options
from fcn_edge_runtime.session.creation import created, nodes_on, one_line, refusal
from fcn_edge_runtime.session.devices import (
    cores,
    import_onnxruntime,
    install_hint,
    provider_named,
    quiet_run,
    short_name,
)
from fcn_edge_runtime.session.options import (
    AUTO,
    CPU,
    CUDA,
    HEADS,
    OPENVINO,
    SessionOptions,
    cautious,
    decided,
    shortcuts,
)
from fcn_edge_runtime.session.slow_loading import check_operator_count

if TYPE_CHECKING:  # imported where needed, for a fast start
    from fcn_edge_runtime.model.dry_run.run import DryRun
    from fcn_edge_runtime.model.without_head import WithoutHead
    from fcn_edge_runtime.session.fixed_buffers import FixedBuffers
    from fcn_edge_runtime.session.numpy_head import NumpyHead

__all__ = [
    "AUTO",
    "HEADS",
    "MAX_SIDE",
    "MAX_THREADS",
    "Session",
    "SessionOptions",
    "open_session",
]

FASTER = (CUDA, OPENVINO)  # than the CPU provider, the fastest first: what "auto" tries before it
CUDA_GRAPH = "enable_cuda_graph"
# Operators whose kernels, or the sizes of what they make, are not the same for every image.
DEPENDS_ON_DATA = frozenset({"Compress", "If", "Loop", "NonMaxSuppression", "NonZero", "Scan", "Unique"})
MAX_THREADS = 1024
MAX_FIXED_PIXELS = 3840 * 2160  # a fixed size is for cameras, and its self-test runs at that size
# Sizes of image that are remembered: following the graph again takes a millisecond.
_MOST_SIZES = 1024
# A larger file is not read into memory a second time for a few hundredths of its time.
_MAX_CUT_BYTES = 64 << 20


@dataclass(frozen=True)
class Session:
    """An onnxruntime session and the facts about where it runs.

    Attributes:
        provider: onnxruntime's name of the provider that runs it, such as "CUDAExecutionProvider".
        device: the same as a user types it: "cpu", "cuda", ...
        why: one line: why this provider was chosen.
        outputs: the names of the model's outputs, in the file's order.
        threads: threads that one operator may use on the CPU.
        options: the options it was made with.
        head: what makes labels of the model's logits; None where the graph does.
        limits: the model's graph, which is followed for each size before its first run; None for bytes.
        buffers: where a CUDA graph reads images and writes results; None without one.
    """

    provider: str
    device: str
    why: str
    outputs: tuple[str, ...]
    threads: int
    raw: Any = field(repr=False)
    options: SessionOptions = field(default_factory=SessionOptions, repr=False)
    head: NumpyHead | None = field(default=None, repr=False)
    limits: DryRun | None = field(default=None, repr=False)
    buffers: FixedBuffers | None = field(default=None, repr=False)
    _followed: set[tuple[int, ...]] = field(default_factory=set, repr=False)
    _run_options: Any = field(default=None, repr=False)

    def facts(self) -> dict[str, str]:
        """Where it runs and why, as plain JSON values: part of every report."""
        return {"device": self.device, "provider": self.provider, "why": self.why}

    def run(self, image: np.ndarray, outputs: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Run the model on one batch. Thread-safe.

        Args:
            image: (N, H, W, C), C-contiguous, of the model's dtype in native byte order.
            outputs: names of the outputs to compute; None means all.

        Raises:
            ModelError: onnxruntime failed on the CPU, or the graph makes too much of an image of this size.
            ProviderError: onnxruntime failed on another device.
        """
        if self.limits is not None and image.shape not in self._followed:
            self.limits.check(*image.shape)
            if len(self._followed) >= _MOST_SIZES:
                self._followed.clear()
            self._followed.add(image.shape)
        names = list(self.outputs if outputs is None else outputs)
        fetched = names if self.head is None else [self.head.logits]
        try:
            values = self._values(image, fetched)
        except Exception as error:  # noqa: BLE001 - onnxruntime's own errors derive from Exception alone
            kind = ModelError if self.provider == CPU else ProviderError
            shape = size_text(image.shape)
            raise kind(
                f"onnxruntime failed on {self.device} with an image of {shape} {image.dtype}: "
                f"{one_line(error)}"
            ) from None
        if self.head is not None:
            values = [self.head.labels(values[0], *image.shape[1:3])]
        return dict(zip(names, values, strict=True))

    def _values(self, image: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        if self.buffers is not None:
            return self.buffers.run(image, names)
        if self.provider == CUDA:
            return self._bound(image, names)
        values: list[np.ndarray] = self.raw.run(names, {"image": image}, self._run_options)
        return values

    def _bound(self, image: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        """Run with I/O binding: one copy in, one copy out, for the requested outputs alone."""
        binding = self.raw.io_binding()
        binding.bind_cpu_input("image", image)
        for name in names:
            binding.bind_output(name, "cpu")
        self.raw.run_with_iobinding(binding, self._run_options)
        values: list[np.ndarray] = binding.copy_outputs_to_cpu()
        return values


def open_session(
    model: ModelFile | bytes,
    device: str = "auto",
    *,
    threads: int | None = None,
    options: SessionOptions | None = None,
    cut: bytes | None = None,
    passed_over: Mapping[str, str] | None = None,
) -> Session:
    """Make a session on the requested device; another one is never used instead.

    Args:
        model: an opened model file, or the bytes of any ONNX model with an input `image`.
        device: "auto" (the first that starts of CUDA, OpenVINO and the CPU), "cpu", "cuda", or any provider
            that this onnxruntime knows, in any case, with or without "ExecutionProvider".
        threads: threads of one operator on the CPU; None means all cores this process may use.
        options: rarely needed options.
        cut: bytes of the same model with other outputs, to be run in its place.
        passed_over: providers that "auto" shall not take: name -> why.

    Raises:
        UsageError: the device is unknown, or `threads` or an option is out of range.
        ProviderError: onnxruntime is missing, or the device is not in its build, or does not start.
        ModelError: onnxruntime cannot load the model.
    """
    options = options or SessionOptions()
    runtime = import_onnxruntime()
    known, built_in = runtime.get_all_providers(), runtime.get_available_providers()
    if threads is None:
        threads = cores()
    elif isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise UsageError(f"threads is {threads!r}, expected a whole number from 1 to {MAX_THREADS}")
    if options.head not in (AUTO, *HEADS):
        raise UsageError(f"head is {options.head!r}, expected one of {', '.join((AUTO, *HEADS))}")
    if options.size is not None:
        _check_size(options.size)
    elif any(
        "cuda_graph" in key and value not in ("0", "False") for key, value in options.provider_options.items()
    ):
        raise UsageError(
            "a CUDA graph is recorded for frames of one size, and the options have none: expected "
            "SessionOptions(size=(height, width)), which records one by itself"
        )
    recipe = _Recipe(runtime, model, threads, options, cut)
    if isinstance(device, str) and device.strip().lower() == AUTO:
        return _first(recipe, [name for name in FASTER if name in built_in], passed_over or {})
    provider = provider_named(device, known)
    if provider not in built_in:
        has = ", ".join(short_name(name) for name in built_in)
        raise ProviderError(
            f"the device '{short_name(provider)}' is not in the installed onnxruntime {runtime.__version__}, "
            f"which has {has}: {install_hint(provider)}"
        )
    return recipe.on(provider, "requested")


def _first(recipe: _Recipe, faster: Sequence[str], passed_over: Mapping[str, str]) -> Session:
    """A session on the first provider that starts, and on the CPU if none does."""
    reasons: list[str] = []
    for provider in faster:
        reason = passed_over.get(provider, "")
        if not reason:
            try:
                return recipe.on(provider, "; ".join([f"auto: {short_name(provider)} starts", *reasons]))
            except ProviderError as error:
                reason = str(error)
        reasons.append(reason)
    return recipe.on(CPU, f"auto: {'; '.join(reasons) or 'this onnxruntime has neither CUDA nor OpenVINO'}")


@dataclass(frozen=True)
class _Recipe:
    """What a session is made of, for any provider."""

    runtime: Any
    model: ModelFile | bytes
    threads: int
    options: SessionOptions
    cut: bytes | None  # what is run in the model's place

    def on(self, provider: str, why: str) -> Session:
        """Make the session on this provider, with the CPU for operators that it lacks, or raise.

        What is left to us is decided here. A provider that does not start with it is tried without it.
        """
        first, plain = (
            self._decided(options, provider) for options in (self.options, cautious(self.options))
        )
        if first != plain:
            with contextlib.suppress(ProviderError):
                return replace(self, options=first)._with_head(provider, f"{why}; {shortcuts(first)}")  # noqa: SLF001 - of another of its kind
        return replace(self, options=plain)._with_head(provider, why)  # noqa: SLF001 - see above

    def _decided(self, options: SessionOptions, provider: str) -> SessionOptions:
        precision = self.model.card.precision if isinstance(self.model, ModelFile) else ""
        return decided(options, provider, precision, str(self.runtime.__version__))

    def _with_head(self, provider: str, why: str) -> Session:
        without = _without_head(self.model, self.options.head, provider)
        if without is None:
            return self._on(provider, why)
        whole = self._with_fixed_head(without, provider)
        if whole is not None:
            return replace(self, cut=whole)._on(provider, why)  # noqa: SLF001 - of another of its kind
        from fcn_edge_runtime.session.numpy_head import NumpyHead

        head = NumpyHead(without.logits, without.align_corners, without.labels)
        session = replace(self, cut=without.model)._on(provider, why)  # noqa: SLF001 - of another of its kind
        return replace(session, head=head, outputs=("labels",))

    def _with_fixed_head(self, without: WithoutHead, provider: str) -> bytes | None:
        """The model with a head that OpenVINO compiles; None elsewhere, and where the size is not known."""
        model, size = self.model, self.options.size
        if provider != OPENVINO or size is None or not isinstance(model, ModelFile):
            return None
        from fcn_edge_runtime.model.without_head import with_tail
        from fcn_edge_runtime.session.fixed_head import MOST_CLASSES, fixed_head

        logits = model.limits.follow(1, *size, model.card.input.channels).get(without.logits)
        if logits is None or not logits.exact or len(logits.dims) != 4 or logits.dims[1] > MOST_CLASSES:
            return None
        if any(side > most for side, most in zip(logits.dims, (1, MOST_CLASSES, *size), strict=True)):
            return None  # what it computes is within the limits for logits of at most the image's size
        tail = fixed_head(
            without.logits, logits.dims, size, align_corners=without.align_corners, dtype=without.labels
        )
        return with_tail(without.model, tail)

    def _on(self, provider: str, why: str) -> Session:
        if isinstance(self.model, ModelFile):
            check_operator_count(self.model, provider, str(self.runtime.__version__))
        if provider == CPU:
            raw, printed = self._raw(provider), ""
        else:
            # onnxruntime explains failures only in what it prints.
            with captured_output() as captured:
                try:
                    raw, failure = self._raw(provider), None
                except ProviderError as error:
                    raw, failure = None, error
            printed = captured[0]
            if failure is not None:
                raise refusal(provider, str(failure), printed)
        if raw.get_providers()[0] != provider:
            raise refusal(provider, "", printed)
        if provider != CPU and nodes_on(raw, provider) == 0:
            raise ProviderError(
                f"the device '{short_name(provider)}' takes no operator of this model, all of it would run "
                "on the CPU: choose cpu or another device"
            )
        outputs = tuple(output.name for output in raw.get_outputs())
        limits = self.model.limits if isinstance(self.model, ModelFile) else None
        return Session(
            provider,
            short_name(provider),
            why,
            outputs,
            self.threads,
            raw,
            self.options,
            limits=limits,
            buffers=self._buffers(raw, provider),
            _run_options=quiet_run(self.runtime),
        )

    def _raw(self, provider: str) -> Any:
        """Onnxruntime's session, which may be on another provider than the named one."""
        if provider == CUDA and self._may_record():
            from fcn_edge_runtime.session.fixed_buffers import has_fixed_shapes

            # Where not all operators are on the GPU, it is a session like any other.
            with contextlib.suppress(ProviderError):
                raw = self._created(provider, {CUDA_GRAPH: "1"})
                if has_fixed_shapes(raw):
                    return raw
        return self._created(provider, {})

    def _may_record(self) -> bool:
        """Whether the network always runs the same kernels, on buffers of the same sizes."""
        if self.options.size is None or CUDA_GRAPH in self.options.provider_options:
            return False
        return isinstance(self.model, ModelFile) and DEPENDS_ON_DATA.isdisjoint(self.model.summary.op_types)

    def _created(self, provider: str, further: Mapping[str, str]) -> Any:
        options = session_options(self.runtime, self.model, provider, self.threads, self.options)
        its_options = {**provider_options(self.model, provider, self.threads, self.options), **further}
        return created(
            self.runtime, self.model if self.cut is None else self.cut, provider, options, its_options
        )

    def _buffers(self, raw: Any, provider: str) -> FixedBuffers | None:
        """The buffers of a session that records a CUDA graph."""
        if provider != CUDA or raw.get_provider_options()[CUDA].get(CUDA_GRAPH) != "1":
            return None
        from fcn_edge_runtime.session.fixed_buffers import FixedBuffers, has_fixed_shapes

        if not has_fixed_shapes(raw):
            raise ProviderError(
                f"the shapes of this model are not all known, which {CUDA_GRAPH} needs: leave it out"
            )
        return FixedBuffers(self.runtime, raw, "cuda")


def _without_head(model: ModelFile | bytes, head: str, provider: str) -> WithoutHead | None:
    """The model without its head, if numpy is to make the labels; None if the graph is."""
    if head == "graph":
        return None
    if head == AUTO and (
        provider not in (CPU, OPENVINO) or not isinstance(model, ModelFile) or model.size > _MAX_CUT_BYTES
    ):
        return None
    from fcn_edge_runtime.model.without_head import without_head

    found = without_head(model if isinstance(model, bytes) else model.data())
    if found is None and head != AUTO:
        raise UsageError(
            "the head 'numpy' is for models whose labels are the argmax of bilinearly upsampled logits, and "
            "this one does not: use the head 'graph', or export it again with --head dense"
        )
    return found


def _check_size(size: object) -> None:
    pair = size if isinstance(size, tuple) else ()
    if len(pair) != 2 or not all(type(side) is int and 1 <= side <= MAX_SIDE for side in pair):
        raise UsageError(f"size is {size!r}, expected (height, width) of 1 to {MAX_SIDE} each, or None")
    if pair[0] * pair[1] > MAX_FIXED_PIXELS:
        raise UsageError(
            f"the fixed size is {size_text(pair)}, expected at most 2160x3840 pixels: leave the size out"
        )
