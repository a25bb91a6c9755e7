"""What can be chosen when a network is exported or a file is verified or lowered, as frozen dataclasses.

Options that exist are valid: each is checked when it is made, before any work starts. This module imports
nothing heavy, so a command line can make options before it needs torch or onnx.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fcn_edge_export.graph.working_size import parse_working_size
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import ACTIVATIONS, BORDERS, WorkingSize
from fcn_edge_runtime.model.card_facts import METHODS, TARGETS
from fcn_edge_runtime.model.contract import OUTPUTS
from fcn_edge_runtime.model.golden_vectors import MAX_SIDE
from fcn_edge_runtime.segmentation import check_threshold

__all__ = [
    "AUTO",
    "HEADS",
    "METHODS",
    "TARGETS",
    "AdoptOptions",
    "ExportOptions",
    "Fp16Options",
    "QuantizeOptions",
    "VerifyOptions",
    "WeightsOptions",
    "inputs_text",
    "parse_inputs",
    "wanted_working_size",
]

AUTO = "auto"  # as a working size
HEADS = ("dense", "sparse", "auto")
LAYOUTS = ("NCHW", "NHWC")
AGREEMENT = 0.99
LARGEST_MULTIPLE = 512


@dataclass(frozen=True)
class ExportOptions:
    """How a network is exported.

    Attributes:
        outputs: some of labels, confidence, probabilities, logits; `labels` is always there.
        sizes: further (height, width) to verify at.
        devices: where to verify: "cpu", "cuda", ... A device that does not start is an error.
        head: how labels are computed from the logits: "dense" upsamples them and takes the largest; "sparse"
            does so only where classes meet, which is exact, too, and faster on a CPU where classes cover
            areas; "auto" takes the one that is faster on the images.
        working_size: the size at which the network sees an image, "0.5x" of it or "240x320" for all; the file
            resizes inside and labels the image at its own size. "auto" takes the only size that the network
            accepts, and the image's own where it accepts others.
        size_multiple: pad images to multiples of this, for networks that compute differently at others; None
            pads to what the network needs.
        output_name: which of the network's outputs holds the logits, such as "0", "out" or "aux.1"; None
            takes the only one, or the one that its name or the card's classes tell.
        activation: what the network has already applied to its logits: "none", "sigmoid" or "softmax", which
            is undone; "argmax" takes a network that returns labels, whose file then gives labels alone; None
            finds out whether there is one, and then refuses.
        smallest: (height, width) of images at least; None is what the network needs.
        border: of a network whose convolutions do not pad, what images are padded with so that all of it is
            labeled: "reflect" or "edge"; "unlabeled" labels what it covers, and leaves the border unlabeled.
            None refuses such a network.
        inputs: (name, channels) of each input of a network that has several, such as ("rgb", 3) and
            ("depth", 1): the image's channels are theirs side by side. Empty is one.
        reject: confidence that a label needs, above 0 and below 1: the file leaves pixels below it unlabeled.
            None labels every pixel.
        trained: False records on the card that the weights are untrained.
        allow_unsimplified: continue with the traced graph if onnxsim fails.

    Raises:
        UsageError: an output, head, size, multiple or working size that does not exist, or no device.
    """

    outputs: Sequence[str] = ("labels",)
    sizes: Sequence[tuple[int, int]] = ()
    devices: Sequence[str] = ("cpu",)
    head: str = "dense"
    working_size: str | None = None
    size_multiple: int | None = None
    output_name: str | None = None
    activation: str | None = None
    smallest: tuple[int, int] | None = None
    border: str | None = None
    inputs: Sequence[tuple[str, int]] = ()
    reject: float | None = None
    trained: bool = True
    allow_unsimplified: bool = False

    def __post_init__(self) -> None:
        _check_list("outputs", self.outputs)
        for name in self.outputs:
            _check_one_of("output", name, OUTPUTS)
        _check_sizes(self.sizes)
        _check_devices(self.devices)
        _check_one_of("head", self.head, HEADS)
        if self.activation is not None:
            _check_one_of("activation", self.activation, ACTIVATIONS)
        if self.activation == "argmax" and set(self.outputs) != {"labels"}:
            raise UsageError("a network that returns labels has no scores: expected the output labels alone")
        if self.reject is not None:
            check_threshold(self.reject)
            if self.activation == "argmax":
                raise UsageError("a network that returns labels has no confidence: expected no --reject")
        if self.border is not None:
            _check_one_of("border", self.border, BORDERS[1:])
        if self.border == "unlabeled" and (self.reject is not None or self.working_size is not None):
            raise UsageError(
                "got an unlabeled border together with --reject or a working size: expected one of them; "
                "--border reflect goes with each"
            )
        parse_inputs(inputs_text(self.inputs))
        if self.smallest is not None:
            _check_sizes([self.smallest])
        wanted_working_size(self)
        if self.size_multiple is not None and not 1 <= self.size_multiple <= LARGEST_MULTIPLE:
            raise UsageError(f"got the size multiple {self.size_multiple}, expected 1 to {LARGEST_MULTIPLE}")


def parse_inputs(text: str) -> tuple[tuple[str, int], ...]:
    """The inputs that a user writes: "rgb:3,depth:1" -> (("rgb", 3), ("depth", 1)); of an empty text none.

    Raises:
        UsageError: it is anything else, or a name comes twice.
    """
    found = []
    for entry in text.split(",") if text else ():
        name, _, channels = entry.strip().partition(":")
        if (
            not name.isidentifier()
            or not channels.isdecimal()
            or not 1 <= int(channels[:5]) <= LARGEST_MULTIPLE
        ):
            raise UsageError(f"got the input {entry!r}, expected NAME:CHANNELS, such as rgb:3,depth:1")
        found.append((name, int(channels)))
    if len({name for name, _ in found}) < len(found):
        raise UsageError(f"got the inputs {text!r}, expected each name once")
    return tuple(found)


def inputs_text(inputs: Sequence[tuple[str, int]]) -> str:
    """Inputs as a user writes them."""
    return ",".join(f"{name}:{channels}" for name, channels in inputs)


def wanted_working_size(options: ExportOptions) -> WorkingSize | None:
    """The working size that was asked for; None for the image's own, or "auto".

    Raises:
        UsageError: see `parse_working_size`.
    """
    given = options.working_size
    return None if given is None or given == AUTO else parse_working_size(given)


@dataclass(frozen=True)
class AdoptOptions(ExportOptions):
    """How an ONNX file of another exporter is adopted: as `ExportOptions`, and what its graph does not say.

    Attributes:
        input_name: which of its inputs is the image; None takes the only one.
        layout: of its image, "NCHW" or "NHWC"; None reads it off its shape.
        dynamic: make a file that is bound to one image size take any, where no size is written into its
            operators. Without it images are resized inside to the size that it takes.

    `output_name` may be any tensor of the file.

    Raises:
        UsageError: as `ExportOptions`, or a layout that does not exist.
    """

    input_name: str | None = None
    layout: str | None = None
    dynamic: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.activation == "argmax" or self.border is not None:
            raise UsageError(
                "got a border or argmax, which are for networks of PyTorch: of an ONNX file what is before "
                "its ArgMax is taken"
            )
        if self.layout is not None:
            _check_one_of("layout", self.layout, LAYOUTS)


@dataclass(frozen=True)
class VerifyOptions:
    """How an existing file is verified.

    Attributes:
        sizes: further (height, width) to verify at.
        devices: where to verify: "cpu", "cuda", ...
        reseal: accept a file that was changed after export; if it passes, give it new golden vectors and a
            new seal. Without it such a file is refused.

    Raises:
        UsageError: a size that does not exist, or no device.
    """

    sizes: Sequence[tuple[int, int]] = ()
    devices: Sequence[str] = ("cpu",)
    reseal: bool = False

    def __post_init__(self) -> None:
        _check_sizes(self.sizes)
        _check_devices(self.devices)


@dataclass(frozen=True)
class QuantizeOptions:
    """How a float file is quantized to int8.

    Attributes:
        target: x86-vnni, x86, arm64 or gpu; None is this machine. Speed is measured on this machine only.
        method: how the ranges of activations are chosen: minmax, percentile, entropy or error.
        agreement: share of the held-out frames' labels that must equal the parent's, above 0 to 1.
        allow_slower: write the file even if it is not faster on this machine.
        allow_mostly_float: write the file even if less than half of the work is in integers.

    Raises:
        UsageError: a target or method that does not exist, or an agreement out of range.
    """

    target: str | None = None
    method: str = "error"
    agreement: float = AGREEMENT
    allow_slower: bool = False
    allow_mostly_float: bool = False

    def __post_init__(self) -> None:
        if self.target is not None:
            _check_one_of("target", self.target, TARGETS)
        _check_one_of("method", self.method, METHODS)
        _check_agreement(self.agreement)


@dataclass(frozen=True)
class WeightsOptions:
    """How the weights of a float file are put into 8 bits.

    Attributes:
        agreement: share of the frames' labels that must equal the parent's, above 0 to 1.

    Raises:
        UsageError: an agreement out of range.
    """

    agreement: float = AGREEMENT

    def __post_init__(self) -> None:
        _check_agreement(self.agreement)


@dataclass(frozen=True)
class Fp16Options:
    """How a float file is converted to half precision.

    Attributes:
        agreement: share of the frames' labels that must equal the parent's, above 0 to 1.
        device: where agreement is measured: "cpu", "cuda", ... A CPU computes with weights rounded to
            float16 and float32 activations.

    Raises:
        UsageError: an agreement out of range.
    """

    agreement: float = AGREEMENT
    device: str = "cpu"

    def __post_init__(self) -> None:
        _check_agreement(self.agreement)


def _check_list(what: str, given: object) -> None:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise UsageError(f"got the {what} {given!r}, expected a list")


def _check_one_of(what: str, given: object, allowed: Sequence[str]) -> None:
    if given not in allowed:
        raise UsageError(f"got the {what} {given!r}, expected one of {', '.join(allowed)}")


def _check_sizes(sizes: Sequence[tuple[int, int]]) -> None:
    _check_list("sizes", sizes)
    for size in sizes:
        pair = isinstance(size, Sequence) and not isinstance(size, str) and len(size) == 2
        if not pair or not all(isinstance(side, int) for side in size):
            raise UsageError(f"got the size {size!r}, expected (height, width) in pixels")
        if not 1 <= min(size) <= max(size) <= MAX_SIDE:
            raise UsageError(
                f"got the size {size[0]}x{size[1]}, expected sides of 1 to {MAX_SIDE}; larger ones are "
                "verified on images of your own"
            )


def _check_devices(devices: Sequence[str]) -> None:
    _check_list("devices", devices)
    if not devices:
        raise UsageError("got no device to verify on, expected at least one, such as cpu")


def _check_agreement(agreement: float) -> None:
    if isinstance(agreement, bool) or not isinstance(agreement, (int, float)) or not 0 < agreement <= 1:
        raise UsageError(f"got the agreement {agreement!r}, expected a share above 0 to 1")
