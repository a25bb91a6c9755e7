"""The card: what a model says about itself, as JSON in its ONNX metadata.

A card is written by the exporter and read by everybody else. It is parsed by `json.loads` alone, under a
size limit, and validated field by field, so that a foreign or damaged card is a `ModelError` and no surprise.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn, TypeVar

from fcn_edge_runtime.errors import ModelError

__all__ = [
    "CARD_KEY",
    "SCHEMA",
    "UNTRAINED",
    "Card",
    "ClassInfo",
    "Geometry",
    "InputSpec",
    "NetInfo",
    "VerificationInfo",
]

CARD_KEY = "fcn_edge.card"
SCHEMA = "fcn-edge-card/1"
UNTRAINED = "untrained"
MAX_CARD_BYTES = 4 << 20
MAX_CLASSES = 65535
DTYPE_SCALE = {"uint8": 1 / 255, "uint16": 1 / 65535, "float32": 1.0}
PRECISIONS = ("fp32", "fp16", "int8")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

T = TypeVar("T")


@dataclass(frozen=True)
class InputSpec:
    """What the `image` input holds: x = (pixel * scale - mean) / std, per channel, channels last, RGB."""

    channels: int
    dtype: str
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def default(cls, channels: int = 3, dtype: str = "uint8") -> InputSpec:
        """Pixels scaled to 0..1; three channels get ImageNet's mean and std, others none."""
        rgb = channels == len(IMAGENET_MEAN)
        mean = IMAGENET_MEAN if rgb else (0.0,) * channels
        std = IMAGENET_STD if rgb else (1.0,) * channels
        return cls(channels, dtype, DTYPE_SCALE[dtype], mean, std)


@dataclass(frozen=True)
class ClassInfo:
    """One class: its id (the value in `labels`), name, and display color (red, green, blue, 0 to 255)."""

    id: int
    name: str
    color: tuple[int, int, int]


@dataclass(frozen=True)
class NetInfo:
    """Where the numbers come from: network, its options, and the SHA-256 of its state dict or "untrained"."""

    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    weights_sha256: str = UNTRAINED


@dataclass(frozen=True)
class Geometry:
    """What the graph does to space, in pixels of the input.

    Attributes:
        stride: the coarsest sampling step on the way from image to logits.
        receptive_field: side of the square of pixels that one logit depends on, through local layers.
        sees_whole_image: whether some layer (global pooling, say) reads every pixel.
        size_multiple: sizes the network itself takes are multiples of this; the file pads and takes any.
        smallest_size: the smallest height and width that can be segmented.
    """

    stride: int = 1
    receptive_field: int = 1
    sees_whole_image: bool = False
    size_multiple: int = 1
    smallest_size: int = 1


@dataclass(frozen=True)
class VerificationInfo:
    """The verdict, without measured floats so that repeated exports are byte-identical.

    Attributes:
        verdict: "passed", or "none" on a card that has not been through the exporter yet.
        reference: what the file was compared with: "pytorch", or "parent:SHA256" for a precision file.
        sizes: every (batch, height, width) compared.
        providers: onnxruntime's names of the providers that were compared.
        tolerance: the bound on the numbers, as text.
        blind: true if fewer than two distinct labels were seen over all inputs.
    """

    verdict: str = "none"
    reference: str = "pytorch"
    sizes: tuple[tuple[int, int, int], ...] = ()
    providers: tuple[str, ...] = ()
    tolerance: str = ""
    blind: bool = False


@dataclass(frozen=True)
class Card:
    """Everything a model says about itself.

    A user gives name, classes, input, description and license; the exporter fills in the rest, and numbers
    the classes where none are given. `notes` holds further facts as text, such as the calibration digest of
    an int8 file.
    """

    name: str
    classes: tuple[ClassInfo, ...] = ()
    input: InputSpec = field(default_factory=InputSpec.default)
    description: str = ""
    license: str = ""
    net: NetInfo = field(default_factory=NetInfo)
    geometry: Geometry = field(default_factory=Geometry)
    precision: str = "fp32"
    produced_by: Mapping[str, str] = field(default_factory=dict)
    verification: VerificationInfo = field(default_factory=VerificationInfo)
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def label_dtype(self) -> str:
        """The dtype of `labels`: uint8, or uint16 above 255 classes."""
        return "uint8" if len(self.classes) <= 255 else "uint16"

    @property
    def unlabeled(self) -> int:
        """The value that is never a class: 255 in uint8 labels, 65535 in uint16 ones."""
        return 255 if self.label_dtype == "uint8" else 65535

    def class_named(self, name: str) -> ClassInfo | None:
        """The class of that name, compared without case; None if there is none."""
        return next((c for c in self.classes if c.name.lower() == name.lower()), None)

    def to_dict(self) -> dict[str, Any]:
        """The card as plain JSON values."""
        return {"schema": SCHEMA, **asdict(self), "unlabeled": self.unlabeled}

    def to_json(self) -> str:
        """The card as one line of JSON with sorted keys: the same card gives the same bytes."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Card:
        """Read and validate a card.

        Raises:
            ModelError: the text is no card of this schema; the message names the field, got and expected.
        """
        if len(text) > MAX_CARD_BYTES:
            raise ModelError(
                f"the model's card has {len(text)} bytes, at most {MAX_CARD_BYTES} are read: export again"
            )
        try:
            data = json.loads(text)
            json.dumps(data, ensure_ascii=False).encode()  # half a surrogate pair is JSON, and no text
        except (ValueError, RecursionError) as error:
            raise ModelError(f"the model's card is no JSON ({error}): export again") from None
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: object) -> Card:
        """Validate a card that was parsed from JSON. Raises ModelError like `from_json`."""
        root = _mapping(data, "card")
        schema = root.get("schema")
        if schema != SCHEMA:
            _refuse("schema", schema, f"{SCHEMA!r} (a newer card needs a newer fcn-edge)")
        card = cls(
            name=_text(root, "name"),
            description=_text(root, "description"),
            license=_text(root, "license"),
            classes=_sequence(root, "classes", _class_info),
            input=_input_spec(_mapping(root.get("input"), "input")),
            net=_net_info(_mapping(root.get("net"), "net")),
            geometry=_geometry(_mapping(root.get("geometry"), "geometry")),
            precision=_one_of(root, "precision", PRECISIONS),
            produced_by=_text_map(root, "produced_by"),
            verification=_verification(_mapping(root.get("verification"), "verification")),
            notes=_text_map(root, "notes"),
        )
        _check_classes(card)
        if root.get("unlabeled") != card.unlabeled:
            _refuse("unlabeled", root.get("unlabeled"), str(card.unlabeled))
        return card


def _refuse(where: str, got: object, expected: str) -> NoReturn:
    shown = repr(got)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    raise ModelError(f"the card's field '{where}' is {shown}, expected {expected}")


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        _refuse(where, value, "an object")
    return value


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str):
        _refuse(key, value, "text")
    return value


def _integer(data: Mapping[str, Any], key: str, low: int, high: int = 2**31 - 1) -> int:
    value = data.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        _refuse(key, value, f"a whole number from {low} to {high}")
    return value


def _boolean(data: Mapping[str, Any], key: str) -> bool:
    value = data.get(key)
    if not isinstance(value, bool):
        _refuse(key, value, "true or false")
    return value


def _number(value: object, where: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # JSON's whole numbers have no end
            number = float(value)
            if math.isfinite(number):
                return number
    _refuse(where, value, "a finite number")


def _one_of(data: Mapping[str, Any], key: str, allowed: Sequence[str]) -> str:
    value = data.get(key)
    if value not in allowed:
        _refuse(key, value, " or ".join(allowed))
    return str(value)


def _sequence(data: Mapping[str, Any], key: str, item: Callable[[object, str], T]) -> tuple[T, ...]:
    value = data.get(key)
    if not isinstance(value, list):
        _refuse(key, value, "a list")
    return tuple(item(entry, f"{key}[{index}]") for index, entry in enumerate(value))


def _text_map(data: Mapping[str, Any], key: str) -> dict[str, str]:
    value = _mapping(data.get(key), key)
    for name, text in value.items():
        if not isinstance(text, str):
            _refuse(f"{key}.{name}", text, "text")
    return dict(value)


def _text_item(value: object, where: str) -> str:
    if not isinstance(value, str):
        _refuse(where, value, "text")
    return value


def _class_info(value: object, where: str) -> ClassInfo:
    data = _mapping(value, where)
    color = data.get("color")
    in_range = (
        isinstance(color, list)
        and len(color) == 3
        and all(isinstance(c, int) and not isinstance(c, bool) and 0 <= c <= 255 for c in color)
    )
    if not in_range:
        _refuse(f"{where}.color", color, "three whole numbers from 0 to 255")
    red, green, blue = color  # type: ignore[misc]  # checked just above
    return ClassInfo(_integer(data, "id", 0, MAX_CLASSES), _text(data, "name"), (red, green, blue))


def _input_spec(data: Mapping[str, Any]) -> InputSpec:
    spec = InputSpec(
        channels=_integer(data, "channels", 1, 4096),
        dtype=_one_of(data, "dtype", tuple(DTYPE_SCALE)),
        scale=_number(data.get("scale"), "input.scale"),
        mean=_sequence(data, "mean", _number),
        std=_sequence(data, "std", _number),
    )
    for name, values in (("mean", spec.mean), ("std", spec.std)):
        if len(values) != spec.channels:
            _refuse(f"input.{name}", list(values), f"{spec.channels} numbers, one a channel")
    if not all(s > 0 for s in spec.std) or spec.scale <= 0:
        _refuse("input.std", list(spec.std), "std and scale above 0")
    return spec


def _shallow(value: Any, where: str, depth: int = 4) -> Any:
    """The value, if it does not nest deeper than options of a network do."""
    if depth == 0:
        _refuse(where, "nested deeper", "plain values")
    if isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            _shallow(inner, where, depth - 1)
    return value


def _net_info(data: Mapping[str, Any]) -> NetInfo:
    options = _shallow(_mapping(data.get("options"), "net.options"), "net.options")
    return NetInfo(_text(data, "name"), dict(options), _text(data, "weights_sha256"))


def _geometry(data: Mapping[str, Any]) -> Geometry:
    return Geometry(
        stride=_integer(data, "stride", 1),
        receptive_field=_integer(data, "receptive_field", 1),
        sees_whole_image=_boolean(data, "sees_whole_image"),
        size_multiple=_integer(data, "size_multiple", 1),
        smallest_size=_integer(data, "smallest_size", 1),
    )


def _size(value: object, where: str) -> tuple[int, int, int]:
    if not isinstance(value, list) or len(value) != 3 or not all(isinstance(v, int) and v > 0 for v in value):
        _refuse(where, value, "[batch, height, width]")
    batch, height, width = value
    return batch, height, width


def _verification(data: Mapping[str, Any]) -> VerificationInfo:
    return VerificationInfo(
        verdict=_one_of(data, "verdict", ("passed",)),
        reference=_text(data, "reference"),
        sizes=_sequence(data, "sizes", _size),
        providers=_sequence(data, "providers", _text_item),
        tolerance=_text(data, "tolerance"),
        blind=_boolean(data, "blind"),
    )


def _check_classes(card: Card) -> None:
    """Ids are the positions 0..n-1, since a label is an index of the scores."""
    if not 1 < len(card.classes) <= MAX_CLASSES:
        _refuse("classes", f"a list of {len(card.classes)}", f"2 to {MAX_CLASSES} classes")
    for position, entry in enumerate(card.classes):
        if entry.id != position:
            _refuse(f"classes[{position}].id", entry.id, str(position))
