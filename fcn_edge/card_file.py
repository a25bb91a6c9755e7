"""A model's card from what a user says about it: classes by name, number or file, and a card file."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import tomllib

from fcn_edge_export.classes import CITYSCAPES, VOC, classes_from_names, numbered_classes, voc_color
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import DTYPE_SCALE, Card, ClassInfo, InputSpec, NetInfo

__all__ = ["Description", "card_from", "description_from", "read_classes", "read_description", "read_table"]

WELL_KNOWN = {"voc": VOC, "cityscapes": CITYSCAPES}
CARD_FIELDS = {"name", "description", "license", "classes", "input"}
INPUT_FIELDS = {"channels", "dtype", "scale", "mean", "std"}
MAX_FILE_BYTES = 4 << 20


@dataclass(frozen=True)
class Description:
    """What a card file or a recipe says; None where it says nothing."""

    name: str | None = None
    description: str | None = None
    license: str | None = None
    classes: tuple[ClassInfo, ...] | None = None
    input: Mapping[str, Any] | None = None


def card_from(
    described: Description,
    *,
    name: str,
    net: NetInfo,
    classes: tuple[ClassInfo, ...] | None = None,
    channels: int | None = None,
) -> Card:
    """The draft of a card, for `fcn_edge_export.export`. What is said on the command line wins.

    Args:
        described: of a card file or recipe.
        name: the model's name where the description has none.
        net: the network and its options.
        classes: by `--classes`; empty classes are numbered by the exporter.
        channels: of the image, where the description does not say; 3 by default.

    Raises:
        UsageError: a field is not what a card holds.
    """
    chosen = classes if classes is not None else described.classes
    return Card(
        name=described.name or name,
        description=described.description or "",
        license=described.license or "",
        classes=chosen or (),
        input=_input_spec(described.input or {}, channels),
        net=net,
    )


def read_classes(text: str) -> tuple[ClassInfo, ...]:
    """`voc`, `cityscapes`, a number of classes, or a JSON or TOML file that lists them.

    Raises:
        UsageError: none of these.
    """
    if text.lower() in WELL_KNOWN:
        return WELL_KNOWN[text.lower()]
    if text.isdecimal():
        return numbered_classes(int(text[:10]))  # Python refuses numbers of thousands of digits its own way
    if Path(text).suffix.lower() in (".json", ".toml"):
        data = read_table(Path(text))
        return _classes(data.get("classes") if isinstance(data, dict) else data, text)
    known = ", ".join(WELL_KNOWN)
    raise UsageError(f"got classes {text!r}, expected {known}, a number, or a .json or .toml file")


def read_description(path: Path) -> Description:
    """A card file, JSON or TOML: some of name, description, license, classes, input.

    Raises:
        UsageError: it cannot be read, or has a field that a card file has not.
    """
    data = read_table(path)
    if not isinstance(data, dict):
        _refuse(str(path), "", data, "an object with some of " + ", ".join(sorted(CARD_FIELDS)))
    if unknown := set(data) - CARD_FIELDS:
        _refuse(str(path), min(unknown), "there", "only " + ", ".join(sorted(CARD_FIELDS)))
    return description_from(data, str(path))


def description_from(data: Mapping[str, Any], where: str) -> Description:
    """The fields of a card among the fields of a table; `where` is what messages call the table."""
    for key in ("name", "description", "license"):
        if not isinstance(data.get(key, ""), str):
            _refuse(where, key, data[key], "text")
    given = data.get("input")
    if given is not None and not isinstance(given, dict):
        _refuse(where, "input", given, "a table with some of " + ", ".join(sorted(INPUT_FIELDS)))
    if unknown := set(given or {}) - INPUT_FIELDS:
        _refuse(where, f"input.{min(unknown)}", "there", "only " + ", ".join(sorted(INPUT_FIELDS)))
    classes = data.get("classes")
    if isinstance(classes, str):
        found: tuple[ClassInfo, ...] | None = read_classes(classes)
    else:
        found = None if classes is None else _classes(classes, where)
    return Description(data.get("name"), data.get("description"), data.get("license"), found, given)


def read_table(path: Path) -> Any:
    """A .json or .toml file as plain values.

    Raises:
        UsageError: it is missing, too large, or not of its format.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(f"{path} has more than {MAX_FILE_BYTES} bytes, expected a short description")
        text = path.read_text("utf-8")
        return tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no {path.suffix.lstrip('.').upper() or 'JSON'}: {error}") from None


def _classes(value: object, where: str) -> tuple[ClassInfo, ...]:
    """Names, or {name, color} tables, in the order of their ids."""
    if not isinstance(value, list) or len(value) < 2:
        _refuse(where, "classes", value, "a list of at least two names, or of {name, color} tables")
    if all(isinstance(entry, str) for entry in value):
        return classes_from_names(value)
    return tuple(_class(index, entry, where) for index, entry in enumerate(value))


def _class(index: int, entry: object, where: str) -> ClassInfo:
    field = f"classes[{index}]"
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        _refuse(where, field, entry, "{name, color}")
    if entry.get("id", index) != index:
        _refuse(where, f"{field}.id", entry["id"], f"{index}: ids are positions in the list")
    color: Any = entry.get("color", entry.get("colour", voc_color(index)))
    if isinstance(color, str):
        color = _from_hex(color, where, field)
    is_color = isinstance(color, (list, tuple)) and len(color) == 3
    if not is_color or not all(isinstance(c, int) and 0 <= c <= 255 for c in color):
        _refuse(where, f"{field}.color", color, "[red, green, blue] from 0 to 255, or '#rrggbb'")
    return ClassInfo(index, entry["name"], (color[0], color[1], color[2]))


def _from_hex(text: str, where: str, field: str) -> list[int]:
    try:
        digits = bytes.fromhex(text.removeprefix("#"))
    except ValueError:
        digits = b""
    if len(digits) != 3:
        _refuse(where, f"{field}.color", text, "'#rrggbb'")
    return list(digits)


def _input_spec(given: Mapping[str, Any], channels: int | None) -> InputSpec:
    dtype = given.get("dtype", "uint8")
    if not isinstance(dtype, str) or dtype not in DTYPE_SCALE:
        _refuse("the card", "input.dtype", dtype, " or ".join(DTYPE_SCALE))
    asked = given.get("channels", channels if channels is not None else 3)
    if channels is not None and asked != channels:
        _refuse("the card", "input.channels", asked, f"{channels}, as the network takes")
    if not isinstance(asked, int) or not 1 <= asked <= 4096:
        _refuse("the card", "input.channels", asked, "a whole number from 1 to 4096")
    spec = InputSpec.default(asked, dtype)
    scale = given.get("scale", spec.scale)
    if not _is_finite(scale) or scale <= 0:
        _refuse("the card", "input.scale", scale, "a number above 0")
    mean = _per_channel("mean", given.get("mean", spec.mean), asked)
    std = _per_channel("std", given.get("std", spec.std), asked)
    if min(std) <= 0:
        _refuse("the card", "input.std", list(std), "numbers above 0")
    return replace(spec, scale=float(scale), mean=mean, std=std)


def _per_channel(key: str, value: object, channels: int) -> tuple[float, ...]:
    """One number for all channels, or a list with one a channel."""
    values: Any = [value] * channels if isinstance(value, (int, float)) else value
    fits = isinstance(values, (list, tuple)) and len(values) == channels
    if not fits or not all(_is_finite(v) for v in values):
        _refuse("the card", f"input.{key}", value, f"{channels} finite numbers, one a channel")
    return tuple(float(v) for v in values)


def _is_finite(value: object) -> bool:
    with contextlib.suppress(OverflowError):  # JSON's whole numbers have no end
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return False


def _refuse(where: str, field: str, got: object, expected: str) -> NoReturn:
    shown = repr(got)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    raise UsageError(f"{where}: {field + ' is ' if field else 'got '}{shown}, expected {expected}")
