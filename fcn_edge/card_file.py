"""The draft of a model's card from a card file, a recipe, and classes given by name, number or file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomllib

from fcn_edge_export.classes import CITYSCAPES, VOC, classes_from_names, numbered_classes, voc_color
from fcn_edge_export.normalization import check_normalization
from fcn_edge_runtime._fields import Fields, Key
from fcn_edge_runtime._files import read_regular
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import Card, ClassInfo, InputSpec, NetInfo, read_code
from fcn_edge_runtime.model.card_input import (
    DTYPE_SCALE,
    IMAGENET_MEAN,
    IMAGENET_STD,
    MAX_CHANNELS,
    read_window,
)

__all__ = [
    "NORMALIZATIONS",
    "Description",
    "card_from",
    "description_from",
    "read_classes",
    "read_description",
    "read_normalization",
    "read_table",
]

WELL_KNOWN = {"voc": VOC, "cityscapes": CITYSCAPES}
CARD_FIELDS = {"name", "description", "license", "author", "classes", "input"}
INPUT_FIELDS = {"channels", "dtype", "scale", "mean", "std", "bands", "window", "percentiles", "resolution"}
# What `--normalize` takes, each with its formula for images of bytes.
NORMALIZATIONS = {
    "imagenet": InputSpec.imagenet().formula,
    "0-1": InputSpec.unit().formula,
    "none": InputSpec.raw().formula,
    "MEAN/STD": "such as 0.5/0.25, or 0.49,0.46,0.41/0.23,0.22,0.22 for each channel",
}
MAX_FILE_BYTES = 4 << 20
_HEX_COLOR = re.compile(r"#?([0-9a-fA-F]{6})")


@dataclass(frozen=True)
class Description:
    """What a card file or a recipe sets; None for what it leaves out."""

    name: str | None = None
    description: str | None = None
    license: str | None = None
    author: str | None = None
    classes: tuple[ClassInfo, ...] | None = None
    input: Mapping[str, Any] | None = None

    @property
    def normalizes(self) -> bool:
        """Whether it states mean and std."""
        return self.input is not None and not {"mean", "std"}.isdisjoint(self.input)


def card_from(
    described: Description,
    *,
    name: str,
    net: NetInfo,
    classes: tuple[ClassInfo, ...] | None = None,
    channels: int | None = None,
) -> Card:
    """The draft of a card, for `fcn_edge_export.export`. Options of the command line win.

    Args:
        described: by a card file or recipe.
        name: the model's name where the description has none.
        net: the network and its options.
        classes: from `--classes`; the exporter numbers the classes where there are none.
        channels: that the network takes; None leaves them to the description, with 3 as the default.

    Raises:
        UsageError: a field has a value that a card cannot hold.
    """
    chosen = classes if classes is not None else described.classes
    return Card(
        name=described.name or name,
        description=described.description or "",
        license=described.license or "",
        author=described.author or "",
        classes=chosen or (),
        input=_input_spec(described.input or {}, channels),
        net=net,
    )


def read_classes(text: str) -> tuple[ClassInfo, ...]:
    """`voc`, `cityscapes`, a number of classes, or a JSON or TOML file that lists them.

    Raises:
        UsageError: it is neither, or the file cannot be read.
    """
    if text.lower() in WELL_KNOWN:
        return WELL_KNOWN[text.lower()]
    if text.isdecimal():
        return numbered_classes(int(text[:10]))  # int() raises ValueError for thousands of digits
    if Path(text).suffix.lower() in (".json", ".toml"):
        data = read_table(Path(text))
        fields = Fields.of(data if isinstance(data, dict) else {"classes": data}, UsageError, text)
        return _classes(fields, "classes")
    known = ", ".join(WELL_KNOWN)
    raise UsageError(f"got classes {text!r}, expected {known}, a number, or a .json or .toml file")


def read_normalization(text: str) -> dict[str, Any]:
    """The fields of a card's input that `--normalize` sets: scale, mean and std.

    Raises:
        UsageError: it is none of `NORMALIZATIONS`.
    """
    name = text.strip().lower()
    if name == "imagenet":
        return {"mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)}
    if name == "0-1":
        return {"mean": 0.0, "std": 1.0}
    if name == "none":
        return {"scale": 1.0, "mean": 0.0, "std": 1.0}
    mean, slash, std = name.partition("/")
    try:
        return {"mean": _number_or_list(mean), "std": _number_or_list(std if slash else "missing")}
    except ValueError:
        raise UsageError(
            f"got --normalize {text[:80]!r}, expected imagenet, 0-1, none or MEAN/STD, "
            f"{NORMALIZATIONS['MEAN/STD']}"
        ) from None


def _number_or_list(text: str) -> float | list[float]:
    values = [float(part) for part in text.split(",")]
    return values[0] if len(values) == 1 else values


def read_description(path: Path) -> Description:
    """A card file, JSON or TOML: some of name, description, license, author, classes, input.

    Raises:
        UsageError: it cannot be read, or has a field that card files do not have.
    """
    fields = Fields.of(read_table(path), UsageError, str(path))
    fields.only(CARD_FIELDS)
    return _description(fields)


def description_from(data: Mapping[str, Any], where: str) -> Description:
    """The fields of a card among the fields of a table; `where` is what messages call the table."""
    return _description(Fields.of(dict(data), UsageError, where))


def _description(fields: Fields) -> Description:
    given = fields.object("input") if fields.get("input") is not None else None
    if given is not None:
        given.only(INPUT_FIELDS)
    classes = fields.get("classes")
    return Description(
        name=fields.optional("name", Fields.text),
        description=fields.optional("description", Fields.text),
        license=fields.optional("license", Fields.text),
        author=fields.optional("author", Fields.text),
        classes=read_classes(classes) if isinstance(classes, str) else fields.optional("classes", _classes),
        input=given.values if given is not None else None,
    )


def read_table(path: Path) -> Any:
    """A .json or .toml file as plain values.

    Raises:
        UsageError: it is missing, too large, or not of its format.
    """
    try:
        text = read_regular(path, MAX_FILE_BYTES).decode("utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} cannot be read ({reason}), expected a short description") from None
    try:
        return tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not {path.suffix.lstrip('.').upper() or 'JSON'}: {error}") from None


def _classes(fields: Fields, key: Key) -> tuple[ClassInfo, ...]:
    """Names, or {name, color, code} tables, in the order of their ids."""
    value = fields.get(key)
    if not isinstance(value, list) or len(value) < 2:
        fields.refuse(key, value, "a list of at least two names, or of {name, color} tables")
    if all(isinstance(entry, str) for entry in value):
        return classes_from_names(value)
    return fields.sequence(key, _class)


def _class(items: Fields, index: int) -> ClassInfo:
    entry = items.object(index)
    if entry.get("id") not in (None, index):
        entry.refuse("id", entry.get("id"), f"{index}, the position in the list")
    key = "colour" if "color" not in entry and "colour" in entry else "color"
    color = entry.optional(key, _color) or voc_color(index)
    return ClassInfo(index, entry.text("name"), color, entry.optional("code", read_code))


def _color(fields: Fields, key: Key) -> tuple[int, int, int]:
    value = fields.get(key)
    if isinstance(value, str):
        digits = _HEX_COLOR.fullmatch(value)
        if digits is None:
            fields.refuse(key, value, "'#rrggbb'")
        red, green, blue = bytes.fromhex(digits[1])
    else:
        red, green, blue = fields.sequence(
            key, lambda items, i: items.integer(i, 0, 255), 3, 3, "numbers: red, green, blue, or '#rrggbb'"
        )
    return red, green, blue


def _input_spec(given: Mapping[str, Any], channels: int | None) -> InputSpec:
    fields = Fields(given, UsageError, "the card", where="input")
    dtype = fields.one_of("dtype", tuple(DTYPE_SCALE)) if "dtype" in fields else "uint8"
    found = fields.integer("channels", 1, MAX_CHANNELS) if "channels" in fields else channels or 3
    if channels is not None and found != channels:
        fields.refuse("channels", found, f"{channels}, the channels that the network takes")
    spec = InputSpec.default(found, dtype)

    def per_channel(key: str, read: Callable[[Fields, Key], float]) -> tuple[float, ...] | None:
        """One number for all channels, or a list with one for each."""
        value = fields.get(key)
        if not isinstance(value, list):
            return None if value is None else (read(fields, key),) * found
        return fields.sequence(key, read, found, found, f"numbers, one for each of {found} channels")

    spec = InputSpec(
        found,
        dtype,
        fields.optional("scale", Fields.positive) or spec.scale,
        per_channel("mean", Fields.number) or spec.mean,
        per_channel("std", Fields.positive) or spec.std,
        fields.sequence("bands", Fields.text, found, found, f"names, one for each of {found} channels")
        if "bands" in fields
        else (),
        *read_window(fields),
        fields.optional("resolution", Fields.positive),
    )
    for key, other in (("mean", "std"), ("std", "mean")):
        if fields.get(key) is None and fields.get(other) is not None:
            fields.refuse(key, None, f"{key} beside {other}: x = (pixel * scale - mean) / std")
    check_normalization(spec, "the card's input")
    return spec
