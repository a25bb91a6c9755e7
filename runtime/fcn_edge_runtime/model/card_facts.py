"""What the exporter found out about a file, for its card: frozen facts, and the functions that validate them.

Each `read_...` raises the error of the `Fields` it is given: a `ModelError` for a model's card.
"""

from __future__ import annotations

from dataclasses import dataclass

from fcn_edge_runtime._fields import Fields, Key
from fcn_edge_runtime._sizes import size_text

__all__ = [
    "ANY",
    "METHODS",
    "TARGETS",
    "CalibrationInfo",
    "Geometry",
    "LoweringInfo",
    "VerificationInfo",
    "WorkingSize",
    "read_geometry",
    "read_lowering",
    "read_verification",
    "read_working_size",
]

METHODS = ("minmax", "percentile", "entropy", "error")
TARGETS = ("x86-vnni", "x86", "arm64", "gpu")
ANY = "any"  # the target of files that compute in float
REFERENCES = ("pytorch", "parent", "onnx")
MAX_WORKING_SIDE = 4096
# No network refuses images of this size for being too small; the self-test's images are at least as large.
MAX_SMALLEST = 1024
MAX_LINE = 1024
MAX_NAMES = 8192
MAX_SIZES = 4096
MAX_PROVIDERS = 64
MAX_DENOMINATOR = 10_000  # a user writes at most four decimals


@dataclass(frozen=True)
class Geometry:
    """What the graph does to space, in pixels of the input.

    Attributes:
        stride: the coarsest sampling step on the way from image to logits.
        receptive_field: side of the square of pixels that one logit depends on, through local layers.
        sees_whole_image: whether some layer (global pooling, say) reads every pixel.
        size_multiple: sizes the network itself takes are multiples of this; the file pads and takes any.
        smallest_size: the smallest height and width that can be segmented.
        largest_size: the largest (height, width) that was verified, where the network computes differently
            beyond it; None is any.
    """

    stride: int = 1
    receptive_field: int = 1
    sees_whole_image: bool = False
    size_multiple: int = 1
    smallest_size: int = 1
    largest_size: tuple[int, int] | None = None


@dataclass(frozen=True)
class WorkingSize:
    """The size at which the network looks at an image, where that is not the image's own.

    The file resizes the image to it, and upsamples the logits to the image's size.

    Attributes:
        fraction: (numerator, denominator) of the image's height and width; None for a fixed size.
        size: (height, width) for every image; None for a fraction.
        least: the smallest side the network takes: no side of a working image is below it.
        coarse: whether the network ends in bilinear upsampling, and the file upsamples its coarse logits
            straight to the image's size; False upsamples its logits at the working size.
    """

    fraction: tuple[int, int] | None
    size: tuple[int, int] | None
    least: int = 1
    coarse: bool = False

    def __str__(self) -> str:
        """As a user writes it: "0.5x" or "240x320"."""
        if self.fraction is not None:
            return f"{self.fraction[0] / self.fraction[1]:g}x"
        return size_text(self.size or ())

    def of(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the working image: rounded to the nearest, halves up."""
        if self.fraction is None:
            return self.size or (height, width)
        up, down = self.fraction
        return (
            max(self.least, (2 * height * up + down) // (2 * down)),
            max(self.least, (2 * width * up + down) // (2 * down)),
        )


@dataclass(frozen=True)
class CalibrationInfo:
    """What the ranges of an int8 file were learned from.

    Attributes:
        sha256: over the sorted digests of the frames.
        frames: how many.
        method: how ranges were chosen: minmax, percentile, entropy or error.
    """

    sha256: str
    frames: int
    method: str


@dataclass(frozen=True)
class LoweringInfo:
    """How a file of lower precision was made of its float parent.

    Attributes:
        parent_sha256: of the float file, or of the quantized one that was adopted.
        target: the kind of machine it is for: x86-vnni, x86 (weights of 7 bits), arm64 or gpu; any for a file
            whose weights alone have 8 bits.
        speed_measured: whether its speed was compared with its parent's, on a machine of that kind.
        integer_share: of an int8 file: share of the multiply-accumulates that are in integers, 0..1.
        calibration: of an int8 file; None for the others.
        kept_in_float: names of the layers that stayed in float for the sake of agreement.
    """

    parent_sha256: str
    target: str
    speed_measured: bool = False
    integer_share: float | None = None
    calibration: CalibrationInfo | None = None
    kept_in_float: tuple[str, ...] = ()


@dataclass(frozen=True)
class VerificationInfo:
    """The verdict, without measured floats so that repeated exports are byte-identical.

    Attributes:
        verdict: "passed", or "none" on a card that has not been through the exporter yet.
        reference: what the file was compared with: "pytorch", "parent" for a file of lower precision, or
            "onnx" for a file that was adopted.
        sizes: every (batch, height, width) compared.
        providers: onnxruntime's names of the providers that were compared.
        tolerance: the bound on the logits, as text.
        blind: true if fewer than two distinct labels were seen over all inputs.
    """

    verdict: str = "none"
    reference: str = "pytorch"
    sizes: tuple[tuple[int, int, int], ...] = ()
    providers: tuple[str, ...] = ()
    tolerance: str = ""
    blind: bool = False


def read_geometry(fields: Fields) -> Geometry:
    """Validate the card's geometry."""
    return Geometry(
        stride=fields.integer("stride", 1),
        receptive_field=fields.integer("receptive_field", 1),
        sees_whole_image=fields.boolean("sees_whole_image"),
        size_multiple=fields.integer("size_multiple", 1, MAX_WORKING_SIDE),
        smallest_size=fields.integer("smallest_size", 1, MAX_SMALLEST),
        largest_size=fields.optional("largest_size", _sides),
    )


def read_working_size(fields: Fields) -> WorkingSize:
    """Validate the card's working size."""
    fraction, size = fields.optional("fraction", _fraction), fields.optional("size", _sides)
    if (fraction is None) == (size is None):
        fields.refuse("size", fields.get("size"), "a size or a fraction, one of the two")
    return WorkingSize(fraction, size, fields.integer("least", 1, MAX_WORKING_SIDE), fields.boolean("coarse"))


def _calibration(fields: Fields) -> CalibrationInfo:
    return CalibrationInfo(
        fields.digest("sha256"), fields.integer("frames", 1), fields.one_of("method", METHODS)
    )


def read_lowering(fields: Fields) -> LoweringInfo:
    """Validate the card's lowering."""
    return LoweringInfo(
        parent_sha256=fields.digest("parent_sha256"),
        target=fields.one_of("target", (*TARGETS, ANY)),
        speed_measured=fields.boolean("speed_measured"),
        integer_share=fields.optional("integer_share", lambda f, key: f.number(key, 0, 1)),
        calibration=fields.optional("calibration", lambda f, key: _calibration(f.object(key))),
        kept_in_float=fields.sequence(
            "kept_in_float", lambda items, i: items.line(i, MAX_LINE), 0, MAX_NAMES, "names"
        ),
    )


def read_verification(fields: Fields) -> VerificationInfo:
    """Validate the card's verification."""
    return VerificationInfo(
        verdict=fields.one_of("verdict", ("passed",)),
        reference=fields.one_of("reference", REFERENCES),
        sizes=fields.sequence("sizes", _size, 0, MAX_SIZES, "sizes"),
        providers=fields.sequence(
            "providers", lambda items, i: items.line(i, MAX_LINE), 0, MAX_PROVIDERS, "names"
        ),
        tolerance=fields.line("tolerance", MAX_LINE),
        blind=fields.boolean("blind"),
    )


def _fraction(fields: Fields, key: Key) -> tuple[int, int]:
    up, down = fields.sequence(
        key, lambda items, i: items.integer(i, 1, MAX_DENOMINATOR), 2, 2, "numbers: numerator, denominator"
    )
    if up >= down:
        fields.refuse(key, [up, down], "[numerator, denominator] of a fraction below 1")
    return up, down


def _sides(fields: Fields, key: Key) -> tuple[int, int]:
    height, width = fields.sequence(
        key, lambda items, i: items.integer(i, 1, MAX_WORKING_SIDE), 2, 2, "numbers: height, width"
    )
    return height, width


def _size(fields: Fields, key: Key) -> tuple[int, int, int]:
    batch, height, width = fields.sequence(
        key, lambda items, i: items.integer(i, 1), 3, 3, "whole numbers: batch, height, width"
    )
    return batch, height, width
