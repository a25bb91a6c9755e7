"""Verification of a grafted model on every device, before and after it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx

from fcn_edge_export.graph.names import TRACED_INPUT
from fcn_edge_export.graph.probe_outputs import with_logits_output
from fcn_edge_export.verification.cases import LARGE, Case, default_sizes, frame_cases, pattern_cases
from fcn_edge_export.verification.golden_vectors import TAU, golden_vectors
from fcn_edge_export.verification.measure import labeled, measure
from fcn_edge_export.verification.verdict import (
    TOLERANCES,
    Kind,
    Verdict,
    check_shipped,
    compare,
    error_bound,
)
from fcn_edge_runtime.errors import FcnEdgeError, UsageError, VerificationError
from fcn_edge_runtime.model.card import Card, InputSpec, VerificationInfo
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.model.golden_vectors import MAX_SIDE, Golden
from fcn_edge_runtime.progress import Progress, tracked
from fcn_edge_runtime.selftest import require_passed, run_selftest
from fcn_edge_runtime.session.config import exact_integers
from fcn_edge_runtime.session.options import cautious
from fcn_edge_runtime.session.session import Session, SessionOptions, open_session

REFERENCES = {"pytorch": "PyTorch", "onnx": "the given file"}  # as on the card -> in messages

__all__ = [
    "Certified",
    "DifferenceError",
    "Reference",
    "agrees_at",
    "all_cases",
    "certify",
    "check_draft",
    "open_probes",
]


class DifferenceError(VerificationError):
    """A file does not decide like its reference.

    Attributes:
        size: (batch, height, width) of the worst input.
    """

    def __init__(self, message: str, size: tuple[int, int, int]) -> None:
        super().__init__(message)
        self.size = size


class Reference(Protocol):
    """What a file is compared with: images (batch, height, width, channels) -> logits, both as arrays."""

    def __call__(self, images: npt.NDArray[Any], /) -> npt.NDArray[np.float32]:
        """Logits (batch, classes, height, width) float32."""
        ...

    def normalized(self, images: npt.NDArray[Any]) -> Any:
        """What the network itself is given, (batch, channels, height', width') float32."""
        ...


@dataclass(frozen=True)
class Certified:
    """A passed verdict on every requested device, with what goes into the file: its summary and self-test."""

    verification: VerificationInfo
    golden: Golden
    verdicts: tuple[Verdict, ...]
    devices: tuple[str, ...]


def all_cases(
    card: Card,
    sizes: Sequence[tuple[int, int]],
    images: Mapping[str, Callable[[], npt.NDArray[Any]]],
    *,
    smallest: int,
    multiple: int,
    largest: tuple[int, int] | None = None,
    seed: str | None = None,
    large: Sequence[tuple[int, int, int]] = LARGE,
) -> list[Case]:
    """The default sizes, further (height, width) given by the user, and the user's frames.

    Args:
        card: of the file, or its draft.
        sizes: of the user.
        images: of the user: name -> what reads it, (H, W, C) in the card's dtype.
        smallest: height and width of an image that the file takes.
        multiple: of the sizes that the network takes.
        largest: (height, width) of an image that the file takes; None is any.
        seed: see `default_sizes`.
        large: likewise.

    Raises:
        UsageError: a size is smaller than the network accepts, or larger than the pattern.
    """
    for height, width in sizes:
        if not smallest <= min(height, width) <= max(height, width) <= MAX_SIDE:
            raise UsageError(
                f"got the size {height}x{width}, expected sides of {smallest} to {MAX_SIDE}: "
                "the network accepts none smaller; verify larger ones with your own images"
            )
        if largest is not None and (height > largest[0] or width > largest[1]):
            raise UsageError(
                f"got the size {height}x{width}, expected at most {largest[0]}x{largest[1]}: beyond, the "
                "network computes differently from its file"
            )
    wanted = [*default_sizes(smallest, multiple, largest, seed, large), *((1, h, w) for h, w in sizes)]
    return [*pattern_cases(tuple(dict.fromkeys(wanted)), card.input), *frame_cases(images, card)]


def open_probes(model: onnx.ModelProto, devices: Sequence[str], kind: Kind = "scores") -> list[Session]:
    """A session of a grafted model's probe on every device.

    Args:
        model: the grafted model.
        devices: "cpu", "cuda", ...
        kind: see `verdict.compare`.

    Raises:
        UsageError: there is no device.
        ProviderError: a device does not start.
    """
    if not devices:
        raise UsageError("got no device to verify on, expected at least one, such as cpu")
    probe = with_logits_output(model)
    as_the_file = SessionOptions(config=exact_integers() if kind == "integers" else {})
    return [open_session(probe, device, options=as_the_file) for device in devices]


def certify(
    reference: Reference,
    probes: Sequence[Session],
    card: Card,
    cases: Sequence[Case],
    outputs: Sequence[str],
    earlier: Mapping[str, onnx.ModelProto],
    progress: Progress | None = None,
    *,
    smallest: int,
    compared_with: str = "pytorch",
    kind: Kind = "scores",
) -> Certified:
    """Verify a grafted model on every device.

    Args:
        reference: of the network.
        probes: sessions of the grafted model, see `open_probes`.
        card: of the file, or its draft.
        cases: the inputs.
        outputs: of the grafted model.
        earlier: models of the stages before grafting, by stage, to find where a refused model went wrong.
        progress: receives how many inputs are done, on all devices together.
        smallest: height and width of an image that the file takes.
        compared_with: what the reference is, for the card.
        kind: see `verdict.compare`.

    Raises:
        DifferenceError: a verdict failed; the message names the input, pixel, rule and stage.
    """
    total = len(cases) * len(probes)
    verdicts = []
    for index, session in enumerate(probes):
        inputs = tracked(cases, progress, before=index * len(cases), total=total)
        verdict = compare(
            reference,
            session,
            inputs,
            outputs=outputs,
            reference_name=REFERENCES[compared_with],
            kind=kind,
        )
        if not verdict.passed:
            _refuse(verdict, session.device, reference, cases, earlier)
        verdicts.append(verdict)
    tau = TAU[card.precision]
    if kind == "integers":
        relative = max(r.error / max(r.amplitude, 1e-30) for v in verdicts for r in v.results)
        tau = min(1.0, max(tau, relative))
    golden = golden_vectors(reference, probes[0], card, tau, smallest=smallest)
    info = VerificationInfo(
        verdict="passed",
        sizes=tuple(r.size for r in verdicts[0].results),
        providers=tuple(v.provider for v in verdicts),
        tolerance=TOLERANCES[kind],
        blind=all(v.blind for v in verdicts),
        reference=compared_with,
    )
    return Certified(info, golden, tuple(verdicts), tuple(probe.device for probe in probes))


def check_draft(path: Path, certified: Certified, cases: Sequence[Case]) -> tuple[str, int]:
    """Open the written file, compare it with its probe, and run its self-test.

    What may change labels is off. Where users' sessions have it on, they run the self-test first.

    Returns:
        The file's SHA-256 and its size in bytes.

    Raises:
        VerificationError: its labels differ from its probe's, or its self-test fails.
    """
    with ModelFile.open(path) as file:
        for device, verdict in zip(certified.devices, certified.verdicts, strict=True):
            session = open_session(file, device, options=cautious(SessionOptions()))
            check_shipped(session, verdict, cases)
            require_passed(run_selftest(session, file.card, file.golden))
        return file.digest, file.size


def _refuse(
    verdict: Verdict,
    device: str,
    reference: Reference,
    cases: Sequence[Case],
    earlier: Mapping[str, onnx.ModelProto],
) -> None:
    """Raise the verdict's error, naming the first stage whose model already differs from the reference."""
    image = cases[verdict.results.index(verdict.worst)].image()
    where = f" (stage: {_first_wrong_stage(reference, image, earlier, device)})" if earlier else ""
    try:
        verdict.require()
    except VerificationError as error:
        why = _UNPOOLING if any(map(_unpools, earlier.values())) else ""
        raise DifferenceError(f"{error}{where}{why}", verdict.worst.size) from None


_UNPOOLING = (
    "; the network puts maxima back to where they were (max unpooling), and of two values that differ in the "
    "last digit alone either may be the maximum: upsample by F.interpolate or ConvTranspose2d instead"
)


def _unpools(model: onnx.ModelProto) -> bool:
    nodes = model.graph.node
    read = {name for node in nodes for name in node.input}
    return any(node.op_type == "MaxPool" and not read.isdisjoint(node.output[1:]) for node in nodes)


def agrees_at(
    reference: Reference, model: onnx.ModelProto, size: tuple[int, int, int], spec: InputSpec
) -> bool:
    """Whether a network as ONNX, from `normalized` to `logits`, gives the reference's logits.

    Args:
        reference: at the image's own size.
        model: the network.
        size: (batch, height, width) of an image.
        spec: of the image.
    """
    image = next(pattern_cases((size,), spec)).image()
    return _agrees(model, np.asarray(reference.normalized(image)), reference(image), "cpu")


def _first_wrong_stage(
    reference: Reference, image: npt.NDArray[Any], earlier: Mapping[str, onnx.ModelProto], device: str
) -> str:
    x = np.asarray(reference.normalized(image))
    expected = reference(image)
    if not np.isfinite(expected).all():
        return "the network itself"
    return next((s for s, model in earlier.items() if not _agrees(model, x, expected, device)), "graft")


def _agrees(
    model: onnx.ModelProto, x: npt.NDArray[Any], expected: npt.NDArray[np.float32], device: str
) -> bool:
    """Whether a network as ONNX gives these logits, of an image that may be smaller than `x`."""
    try:
        session = open_session(model.SerializeToString(), device)
        got = session.raw.run(None, {TRACED_INPUT: x})[0]
    except FcnEdgeError:
        return False
    except Exception:  # noqa: BLE001 (onnxruntime's errors derive from Exception alone)
        return False
    if got.shape[-2:] != x.shape[-2:]:
        return False
    got = got[..., : expected.shape[-2], : expected.shape[-1]]
    if got.shape != expected.shape:
        return False
    measured = measure(labeled(expected), labeled(got))
    return measured.error <= error_bound(measured)
