"""Golden vectors: computed images, and the labels that the reference gave for them.

Pixels whose decision was too close are marked and not compared. The vectors are parsed by
`json.loads` alone, under a size limit, and validated field by field.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fcn_edge_runtime._fields import Fields
from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.card_facts import MAX_SMALLEST

__all__ = ["GOLDEN_KEY", "GOLDEN_SIZES", "Golden", "GoldenCase", "raise_to"]

GOLDEN_KEY = "fcn_edge.golden"
SCHEMA = "fcn-edge-golden/1"
GOLDEN_SIZES = ((2, 64, 96), (1, 67, 45))
MAX_GOLDEN_BYTES = 4 << 20
MAX_CASES = 16
MAX_SIDE = 4096  # of a computed image, which hashes 12 bits of each coordinate
SUBJECT, FIX = "the model's self-test", "export again"


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
        fields = Fields.parse(text, MAX_GOLDEN_BYTES, ModelError, SUBJECT, FIX)
        fields.schema(SCHEMA)
        tau = fields.number("tau", 0, 1)
        dtype = np.dtype(fields.one_of("dtype", ("uint8", "uint16")))
        room = _Room(most_pixels(MAX_SMALLEST))
        cases = fields.sequence(
            "cases", lambda items, i: _case(items.object(i), dtype, room), 1, MAX_CASES, "cases"
        )
        return cls(cases, tau)

    def check_card(self, card: Card) -> None:
        """Raise ModelError unless the test fits the card.

        Every expected label is a class or unlabeled, and there are no more pixels than an export tests for a
        network of this smallest size.
        """
        fields = Fields({}, ModelError, SUBJECT, FIX)
        pixels, most = sum(case.labels.size for case in self.cases), most_pixels(card.geometry.smallest_size)
        if pixels > most:
            fields.fail(f"has {pixels} pixels, expected at most {most} for this network")
        for index, case in enumerate(self.cases):
            if case.labels.dtype != card.label_dtype:
                got = str(case.labels.dtype)
                fields.refuse("dtype", got, f"{card.label_dtype} for the card's {len(card.classes)} classes")
            foreign = (case.labels >= len(card.classes)) & (case.labels != card.unlabeled)
            if foreign.any():
                label = int(case.labels[foreign][0])
                fields.refuse(f"cases[{index}].labels", label, f"labels below {len(card.classes)}")


def raise_to(sizes: Iterable[tuple[int, int, int]], smallest: int) -> tuple[tuple[int, int, int], ...]:
    """The sizes (batch, height, width), with height and width raised to at least `smallest`."""
    return tuple((batch, max(height, smallest), max(width, smallest)) for batch, height, width in sizes)


def most_pixels(smallest: int) -> int:
    """Pixels of a self-test, at most: twice what an export tests for a network of this smallest size."""
    return 2 * sum(batch * height * width for batch, height, width in raise_to(GOLDEN_SIZES, smallest))


@dataclass
class _Room:
    """Pixels that the cases still to be read may have."""

    pixels: int


def _little(labels: np.ndarray) -> bytes:
    return np.ascontiguousarray(labels, dtype=labels.dtype.newbyteorder("<")).tobytes()


def _case(fields: Fields, dtype: np.dtype[Any], room: _Room) -> GoldenCase:
    batch, height, width = (fields.integer(key, 1, MAX_SIDE) for key in ("batch", "height", "width"))
    pixels = batch * height * width
    room.pixels -= pixels
    if room.pixels < 0:
        fields.fail(f"has too many pixels with a case of {batch}x{height}x{width}")
    raw = _inflated(fields, "labels", pixels * dtype.itemsize)
    labels = np.frombuffer(raw, dtype.newbyteorder("<")).reshape(batch, height, width).astype(dtype)
    labels.setflags(write=False)
    seed, digest = fields.integer("seed", 1), fields.digest("input_sha256")
    return GoldenCase(batch, height, width, seed, digest, labels)


def _inflated(fields: Fields, key: str, expected: int) -> bytes:
    """Decode base64(zlib(...)) to exactly `expected` bytes, and never inflate more than one beyond."""
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(base64.b64decode(fields.text(key), validate=True), expected + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        fields.refuse(key, f"damaged ({error})", "base64 of zlib data")
    if len(raw) != expected or not inflater.eof or inflater.unused_data:
        fields.refuse(key, f"{len(raw)} bytes or more", f"{expected} bytes")
    return raw
