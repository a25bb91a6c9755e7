"""Golden vectors: computed images, and the labels that the reference gave for them.

Pixels whose decision was too close to call are marked and not compared. The vectors are parsed by
`json.loads` alone, under a size limit, and validated field by field.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.card import Card

__all__ = ["GOLDEN_KEY", "GOLDEN_SIZES", "Golden", "GoldenCase", "raise_to"]

GOLDEN_KEY = "fcn_edge.golden"
SCHEMA = "fcn-edge-golden/1"
GOLDEN_SIZES = ((2, 64, 96), (1, 67, 45))
MAX_GOLDEN_BYTES = 4 << 20
MAX_CASES = 16
MAX_PIXELS = 1 << 24


@dataclass(frozen=True, eq=False)
class GoldenCase:
    """One computed image and the labels expected of it.

    Attributes:
        batch: images in the case.
        height: of each, in pixels.
        width: of each, in pixels.
        seed: of the pattern.
        input_sha256: of the image's bytes, see `image_digest`.
        labels: (batch, height, width), uint8 or uint16; the unlabeled value marks undecided pixels.
    """

    batch: int
    height: int
    width: int
    seed: int
    input_sha256: str
    labels: np.ndarray


@dataclass(frozen=True)
class Golden:
    """The self-test of a file: its cases, and the relative margin under which a pixel counts as undecided."""

    cases: tuple[GoldenCase, ...]
    tau: float

    def to_json(self) -> str:
        """One line of JSON with sorted keys: the same test gives the same bytes."""
        data = {
            "schema": SCHEMA,
            "tau": self.tau,
            "dtype": str(self.cases[0].labels.dtype),
            "cases": [
                {
                    "batch": case.batch,
                    "height": case.height,
                    "width": case.width,
                    "seed": case.seed,
                    "input_sha256": case.input_sha256,
                    "labels": base64.b64encode(zlib.compress(_little(case.labels), 9)).decode("ascii"),
                }
                for case in self.cases
            ],
        }
        return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Golden:
        """Read and validate golden vectors, in bounded memory.

        Raises:
            ModelError: they are not of this schema; the message names the field, got and expected.
        """
        if len(text) > MAX_GOLDEN_BYTES:
            raise ModelError(
                f"the model's self-test has {len(text)} bytes, at most {MAX_GOLDEN_BYTES} are read"
            )
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"the model's self-test is no JSON ({error}): export again") from None
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            _refuse("schema", data.get("schema") if isinstance(data, dict) else data, repr(SCHEMA))
        tau = data.get("tau")
        if isinstance(tau, bool) or not isinstance(tau, (int, float)) or not 0 <= tau <= 1:
            _refuse("tau", tau, "a number from 0 to 1")
        if data.get("dtype") not in ("uint8", "uint16"):
            _refuse("dtype", data.get("dtype"), "uint8 or uint16")
        cases = data.get("cases")
        if not isinstance(cases, list) or not 1 <= len(cases) <= MAX_CASES:
            _refuse("cases", cases, f"a list of 1 to {MAX_CASES}")
        dtype = np.dtype(data["dtype"])
        return cls(tuple(_case(entry, f"cases[{i}]", dtype) for i, entry in enumerate(cases)), float(tau))

    def check_card(self, card: Card) -> None:
        """Raise ModelError unless every expected label is a class of the card, or unlabeled."""
        for index, case in enumerate(self.cases):
            if case.labels.dtype != card.label_dtype:
                _refuse("dtype", str(case.labels.dtype), f"{card.label_dtype}, as the card's classes need")
            foreign = (case.labels >= len(card.classes)) & (case.labels != card.unlabeled)
            if foreign.any():
                got = int(case.labels[foreign][0])
                _refuse(f"cases[{index}].labels", got, f"labels below {len(card.classes)}")


def raise_to(sizes: Iterable[tuple[int, int, int]], smallest: int) -> tuple[tuple[int, int, int], ...]:
    """The sizes (batch, height, width), with height and width raised to at least `smallest`."""
    return tuple((batch, max(height, smallest), max(width, smallest)) for batch, height, width in sizes)


def _little(labels: np.ndarray) -> bytes:
    return np.ascontiguousarray(labels, dtype=labels.dtype.newbyteorder("<")).tobytes()


def _refuse(where: str, got: object, expected: str) -> NoReturn:
    shown = repr(got)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    raise ModelError(f"the self-test's field '{where}' is {shown}, expected {expected}: export again")


def _integer(data: Mapping[str, Any], key: str, where: str, high: int) -> int:
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
        _refuse(f"{where}.{key}", value, f"a whole number from 1 to {high}")
    return value


def _case(data: object, where: str, dtype: np.dtype[Any]) -> GoldenCase:
    if not isinstance(data, dict):
        _refuse(where, data, "an object")
    batch, height, width = (_integer(data, key, where, 4096) for key in ("batch", "height", "width"))
    seed = _integer(data, "seed", where, 2**31 - 1)
    digest, text = data.get("input_sha256"), data.get("labels")
    if not isinstance(digest, str) or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        _refuse(f"{where}.input_sha256", digest, "64 lower-case hex digits")
    if batch * height * width > MAX_PIXELS:
        _refuse(where, f"{batch}x{height}x{width}", f"at most {MAX_PIXELS} pixels")
    if not isinstance(text, str):
        _refuse(f"{where}.labels", text, "text")
    raw = _inflate(text, f"{where}.labels", batch * height * width * dtype.itemsize)
    labels = np.frombuffer(raw, dtype.newbyteorder("<")).reshape(batch, height, width).astype(dtype)
    labels.setflags(write=False)
    return GoldenCase(batch, height, width, seed, digest, labels)


def _inflate(text: str, where: str, expected: int) -> bytes:
    """Decode base64(zlib(...)) to exactly `expected` bytes, and never inflate more than one beyond."""
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(base64.b64decode(text, validate=True), expected + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        _refuse(where, f"damaged ({error})", "base64 of zlib data")
    if len(raw) != expected or not inflater.eof or inflater.unused_data:
        _refuse(where, f"{len(raw)} bytes or more", f"{expected} bytes")
    return raw
