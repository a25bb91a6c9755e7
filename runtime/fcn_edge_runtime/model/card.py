"""The card: the facts about a model, as JSON in its ONNX metadata.

A card is written by the exporter and read by everybody else. It is parsed by `json.loads` alone, under a
size limit, and validated field by field, so a card that is damaged or not ours is a `ModelError`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fcn_edge_runtime._fields import Fields, Key
from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.card_facts import (
    CalibrationInfo,
    Geometry,
    LoweringInfo,
    VerificationInfo,
    WorkingSize,
    read_geometry,
    read_lowering,
    read_verification,
    read_working_size,
)

__all__ = [
    "CARD_KEY",
    "SCHEMA",
    "UNTRAINED",
    "CalibrationInfo",
    "Card",
    "ClassCode",
    "ClassInfo",
    "Geometry",
    "InputSpec",
    "LoweringInfo",
    "NetInfo",
    "VerificationInfo",
    "WorkingSize",
    "read_card",
    "read_code",
    "read_window",
]

CARD_KEY = "fcn_edge.card"
SCHEMA = "fcn-edge-card/1"
UNTRAINED = "untrained"
MAX_CARD_BYTES = 4 << 20
MAX_CLASSES = 65535
MAX_CHANNELS = 4096
MAX_LEVELS = 3
MAX_OPTIONS = 1 << 16  # characters of the network's options as JSON
_SHORTEST_OPTION = 8  # characters, `"a": 1, `, about
MAX_LINE = 1024
MAX_PROSE = 20_000
MAX_CLASS_NAME = 128
MAX_CODE, MAX_MEANING = 16, 64  # characters of DICOM's short and long strings
MAX_ENTRIES = 256
MAX_COUNT = 1 << 20
DTYPE_SCALE = {"uint8": 1 / 255, "uint16": 1 / 65535, "float32": 1.0}
LARGEST_PIXEL = {"uint8": 255, "uint16": 65535}
PRECISIONS = ("fp32", "fp16", "int8", "int8-weights")
HEADS = ("dense", "sparse")
ACTIVATIONS = ("none", "sigmoid", "softmax", "argmax")
BORDERS = ("none", "reflect", "edge", "unlabeled")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class InputSpec:
    """What the `image` input holds: x = (pixel * scale - mean) / std, per channel, channels last, RGB.

    `bands` names the channels, such as red, green, blue, nir; empty where the card does not. `window` tells
    which two values of a medical scan became the lowest and the highest pixel; `percentiles` tells it as
    percentiles of the voxels. At most one of them is there. `resolution` is the size on the ground of the
    pixels of a raster that the network was trained with, in meters.
    """

    channels: int
    dtype: str
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    bands: tuple[str, ...] = ()
    window: tuple[float, float] | None = None
    percentiles: tuple[float, float] | None = None
    resolution: float | None = None

    @classmethod
    def default(cls, channels: int = 3, dtype: str = "uint8") -> InputSpec:
        """Pixels scaled to 0..1; three channels get ImageNet's mean and std, others none."""
        rgb = channels == len(IMAGENET_MEAN)
        mean = IMAGENET_MEAN if rgb else (0.0,) * channels
        std = IMAGENET_STD if rgb else (1.0,) * channels
        return cls(channels, dtype, DTYPE_SCALE[dtype], mean, std)

    @classmethod
    def imagenet(cls, dtype: str = "uint8") -> InputSpec:
        """RGB scaled to 0..1, then ImageNet's mean and std, as torchvision's models are trained."""
        return cls(3, dtype, DTYPE_SCALE[dtype], IMAGENET_MEAN, IMAGENET_STD)

    @classmethod
    def unit(cls, channels: int = 3, dtype: str = "uint8") -> InputSpec:
        """Pixels scaled to 0..1 and nothing else, as torchvision's `ToTensor` gives them."""
        return cls(channels, dtype, DTYPE_SCALE[dtype], (0.0,) * channels, (1.0,) * channels)

    @classmethod
    def raw(cls, channels: int = 3, dtype: str = "uint8") -> InputSpec:
        """Pixels as they are, such as 0..255."""
        return cls(channels, dtype, 1.0, (0.0,) * channels, (1.0,) * channels)

    @property
    def formula(self) -> str:
        """The formula with its numbers: "x = (pixel / 255 - 0.5) / 0.25"; lists have one number a channel."""
        pixel = "pixel"
        if self.scale != 1:
            part = 1 / self.scale
            whole = abs(part - round(part)) < 1e-6 * part
            pixel += f" / {round(part)}" if whole else f" * {self.scale:.6g}"
        if any(self.mean):
            pixel = f"({pixel} - {_per_channel(self.mean)})"
        if any(value != 1 for value in self.std):
            pixel = f"({pixel})" if "(" not in pixel and " " in pixel else pixel
            pixel += f" / {_per_channel(self.std)}"
        return f"x = {pixel}"


def _per_channel(values: tuple[float, ...]) -> str:
    """One number where all channels have the same, else a list; of many channels the first."""
    if len(set(values)) == 1:
        return f"{values[0]:.6g}"
    shown = " ".join(f"{value:.6g}" for value in values[:8])
    return f"[{shown}{' ...' if len(values) > 8 else ''}]"


@dataclass(frozen=True)
class ClassCode:
    """What a class is in a coding scheme of medicine, as DICOM writes it: ("10200004", "SCT", "Liver")."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class ClassInfo:
    """One class: its id (the value in `labels`), name, and display color (red, green, blue, 0 to 255).

    `code` says what it is to medical software; None where the card does not.
    """

    id: int
    name: str
    color: tuple[int, int, int]
    code: ClassCode | None = None


@dataclass(frozen=True)
class NetInfo:
    """The network: its name and options, its weights, and how its logits were taken.

    Attributes:
        weights_sha256: SHA-256 of its state dict, or "untrained".
        output: which of its outputs holds the logits, such as "out" or "1"; empty for its only one.
        activation: what it had applied to them, and the export undid: "none", "sigmoid" or "softmax"; behind
            an "argmax" there are labels alone.
        border: what images are padded with by a network whose convolutions do not pad: "reflect" or "edge";
            "unlabeled" where the file leaves the border of each image unlabeled; "none" where they do pad.
        inputs: its inputs, "rgb:3,depth:1", which are the image's channels side by side; empty for one.
    """

    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    weights_sha256: str = UNTRAINED
    output: str = ""
    activation: str = "none"
    border: str = "none"
    inputs: str = ""


@dataclass(frozen=True)
class Card:
    """The facts about a model that travel in its file.

    A user gives name, classes, input, description, license and author; the exporter fills in the rest, and
    numbers the classes where none are given.

    Attributes:
        head: how labels are made of logits: "dense" upsamples all of them, "sparse" only where classes meet.
        working_size: the size at which the network looks at an image; None is the image's own.
        lowering: how a file of lower precision was made; None for fp32.
        operators: how often each operator occurs in the file.
        reject: confidence below which the file leaves a pixel unlabeled; None labels every pixel.
    """

    name: str
    classes: tuple[ClassInfo, ...] = ()
    input: InputSpec = field(default_factory=InputSpec.default)
    description: str = ""
    license: str = ""
    net: NetInfo = field(default_factory=NetInfo)
    geometry: Geometry = field(default_factory=Geometry)
    head: str = "dense"
    working_size: WorkingSize | None = None
    precision: str = "fp32"
    lowering: LoweringInfo | None = None
    operators: Mapping[str, int] = field(default_factory=dict)
    produced_by: Mapping[str, str] = field(default_factory=dict)
    verification: VerificationInfo = field(default_factory=VerificationInfo)
    author: str = ""
    reject: float | None = None

    @property
    def label_dtype(self) -> str:
        """The dtype of `labels`: uint8, or uint16 above 255 classes."""
        return "uint8" if len(self.classes) <= 255 else "uint16"

    @property
    def unlabeled(self) -> int:
        """The value that is never a class: 255 in uint8 labels, 65535 in uint16 ones."""
        return 255 if self.label_dtype == "uint8" else 65535

    @property
    def unlabeled_by(self) -> str:
        """The option of `export` by which the file leaves pixels unlabeled; empty if it labels every one."""
        if self.reject is not None:
            return "--reject"
        return "--border unlabeled" if self.net.border == "unlabeled" else ""

    def class_named(self, name: str) -> ClassInfo | None:
        """The class of that name, compared without case; None if there is none."""
        return next((c for c in self.classes if c.name.lower() == name.lower()), None)

    def to_dict(self) -> dict[str, Any]:
        """The card as plain JSON values."""
        values = {"schema": SCHEMA, **asdict(self), "unlabeled": self.unlabeled}
        for key in ("bands", "window", "percentiles", "resolution"):
            if not values["input"][key]:  # files without them stay as they were before there were any
                del values["input"][key]
        if not self.author:  # the same
            del values["author"]
        if self.reject is None:  # the same
            del values["reject"]
        for entry in values["classes"]:
            if entry["code"] is None:  # the same
                del entry["code"]
        return values

    def to_json(self) -> str:
        """The card as one line of JSON with sorted keys: the same card gives the same bytes."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Card:
        """Read and validate a card.

        Raises:
            ModelError: the text is not a card of this schema; the message names the field, got and expected.
        """
        return read_card(Fields.parse(text, MAX_CARD_BYTES, ModelError, "the card", "export again"))


def read_card(fields: Fields) -> Card:
    """Validate a card. Raises the error of `fields`."""
    fields.schema(SCHEMA)
    if "notes" in fields:  # pre-releases held these facts as text
        fields.fail("was written by a pre-release of fcn-edge, whose files are not read")
    card = Card(
        name=fields.line("name", MAX_LINE),
        description=fields.prose("description", MAX_PROSE),
        license=fields.prose("license", MAX_PROSE),
        author=fields.line("author", MAX_LINE) if "author" in fields else "",
        reject=fields.number("reject", 0, 1) if "reject" in fields else None,
        classes=fields.sequence(
            "classes", lambda items, i: _class_info(items.object(i)), 2, MAX_CLASSES, "classes"
        ),
        input=_input_spec(fields.object("input")),
        net=_net_info(fields.object("net")),
        geometry=read_geometry(fields.object("geometry")),
        head=fields.one_of("head", HEADS),
        working_size=fields.optional("working_size", lambda f, key: read_working_size(f.object(key))),
        precision=fields.one_of("precision", PRECISIONS),
        lowering=fields.optional("lowering", lambda f, key: read_lowering(f.object(key))),
        operators=_operators(fields.object("operators")),
        produced_by=fields.lines("produced_by", MAX_ENTRIES, MAX_LINE),
        verification=read_verification(fields.object("verification")),
    )
    _check_consistent(card, fields)
    return card


def _input_spec(fields: Fields) -> InputSpec:
    channels = fields.integer("channels", 1, MAX_CHANNELS)
    each = f"numbers, one for each of {channels} channels"
    return InputSpec(
        channels,
        fields.one_of("dtype", tuple(DTYPE_SCALE)),
        fields.positive("scale"),
        fields.sequence("mean", Fields.number, channels, channels, each),
        fields.sequence("std", Fields.positive, channels, channels, each),
        _bands(fields, channels),
        *read_window(fields),
        fields.positive("resolution") if "resolution" in fields else None,
    )


def read_window(fields: Fields) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """The window and the percentiles of a card's input, at most one of them. Raises the error of `fields`."""
    window, percentiles = (
        fields.optional(
            key, lambda f, k: _range(f.sequence(k, Fields.number, 2, 2, "numbers: low, high"), f, k)
        )
        for key in ("window", "percentiles")
    )
    if window and percentiles:
        fields.refuse("percentiles", fields.get("percentiles"), "nothing beside a window")
    if percentiles and not (percentiles[0] >= 0 and percentiles[1] <= 100):
        fields.refuse("percentiles", fields.get("percentiles"), "numbers from 0 to 100")
    return window, percentiles


def _range(pair: tuple[float, ...], fields: Fields, key: Key) -> tuple[float, float]:
    low, high = pair
    if not low < high:
        fields.refuse(key, list(pair), "the lower number first")
    return low, high


def _bands(fields: Fields, channels: int) -> tuple[str, ...]:
    if "bands" not in fields:
        return ()
    names = f"names, one for each of {channels} channels"
    return fields.sequence(
        "bands", lambda items, i: items.line(i, MAX_CLASS_NAME, 1), channels, channels, names
    )


def _class_info(fields: Fields) -> ClassInfo:
    red, green, blue = fields.sequence(
        "color", lambda color, i: color.integer(i, 0, 255), 3, 3, "numbers: red, green, blue"
    )
    return ClassInfo(
        fields.integer("id", 0, MAX_CLASSES),
        fields.line("name", MAX_CLASS_NAME, 1),
        (red, green, blue),
        fields.optional("code", read_code),
    )


def read_code(fields: Fields, key: Key) -> ClassCode:
    """The code of a class, within DICOM's lengths. Raises the error of `fields`."""
    code = fields.object(key)
    return ClassCode(
        code.line("value", MAX_CODE, 1),
        code.line("scheme", MAX_CODE, 1),
        code.line("meaning", MAX_MEANING, 1),
    )


def _operators(fields: Fields) -> dict[str, int]:
    if len(fields.values) > MAX_ENTRIES:
        fields.fail(f"lists {len(fields.values)} operators, expected at most {MAX_ENTRIES}")
    return {name: fields.integer(name, 1, MAX_COUNT) for name in sorted(fields.values)}


def _net_info(fields: Fields) -> NetInfo:
    options = fields.object("options").values
    if len(options) > MAX_OPTIONS // _SHORTEST_OPTION:
        fields.refuse("options", options, f"at most {MAX_OPTIONS} characters of JSON")
    if _nests(options, MAX_LEVELS):
        fields.refuse("options", options, f"at most {MAX_LEVELS} levels of lists and objects")
    if len(json.dumps(options)) > MAX_OPTIONS:
        fields.refuse("options", options, f"at most {MAX_OPTIONS} characters of JSON")
    weights = fields.get("weights_sha256")
    return NetInfo(
        fields.line("name", MAX_LINE),
        dict(options),
        UNTRAINED if weights == UNTRAINED else fields.digest("weights_sha256"),
        fields.line("output", MAX_LINE),
        fields.one_of("activation", ACTIVATIONS),
        fields.one_of("border", BORDERS) if "border" in fields else "none",
        fields.line("inputs", MAX_LINE) if "inputs" in fields else "",
    )


def _check_consistent(card: Card, fields: Fields) -> None:
    """Fields fit each other; ids are the positions 0..n-1, since a label is an index into the logits."""
    for position, entry in enumerate(card.classes):
        if entry.id != position:
            fields.refuse(f"classes[{position}].id", entry.id, str(position))
    if fields.get("unlabeled") != card.unlabeled:
        fields.refuse("unlabeled", fields.get("unlabeled"), str(card.unlabeled))
    if (card.lowering is None) != (card.precision == "fp32"):
        expected = "null" if card.precision == "fp32" else "an object"
        fields.refuse("lowering", fields.get("lowering"), f"{expected} for the precision {card.precision}")
    if card.lowering is not None and (card.lowering.integer_share is None) == (card.precision == "int8"):
        expected = "a number from 0 to 1" if card.precision == "int8" else "null"
        fields.object("lowering").refuse("integer_share", card.lowering.integer_share, expected)
    if card.verification.reference == "parent" and card.lowering is None:
        fields.refuse("verification.reference", "parent", "pytorch for a file that has no parent")


def _nests(value: object, levels: int) -> bool:
    """Whether lists and objects nest deeper than so many levels."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(levels == 0 or _nests(entry, levels - 1) for entry in inner)
