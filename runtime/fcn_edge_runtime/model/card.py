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
from fcn_edge_runtime.model.card_input import InputSpec, read_input

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
]

CARD_KEY = "fcn_edge.card"
SCHEMA = "fcn-edge-card/1"
UNTRAINED = "untrained"
MAX_CARD_BYTES = 4 << 20
MAX_CLASSES = 65535
MAX_LEVELS = 3
MAX_OPTIONS = 1 << 16  # characters of the network's options as JSON
_SHORTEST_OPTION = 8  # characters, `"a": 1, `, about
MAX_LINE = 1024
MAX_PROSE = 20_000
MAX_CLASS_NAME = 128
MAX_CODE, MAX_MEANING = 16, 64  # characters of DICOM's short and long strings
MAX_ENTRIES = 256
MAX_COUNT = 1 << 20
PRECISIONS = ("fp32", "fp16", "int8", "int8-weights")
HEADS = ("dense", "sparse")
ACTIVATIONS = ("none", "sigmoid", "softmax", "argmax")
BORDERS = ("none", "reflect", "edge", "unlabeled")


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
        input=read_input(fields.object("input")),
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
