"""The fields of protobuf messages, read in place, one after the other.

onnxruntime reads the same bytes with protobuf's own library, which merges a message that is written twice and
takes the last of two numbers. Both readers must see one model, so what may occur once and occurs twice is
refused, and so is a name that is not UTF-8: two such names can become one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fcn_edge_runtime.errors import ModelError

__all__ = ["BYTES", "FIXED32", "MAX_FIELDS", "MAX_NAME", "VARINT", "Reader", "Span", "damaged", "unwritten"]

MAX_FIELDS = 400_000
MAX_NAME = 1024  # bytes; PyTorch's names are paths of modules

VARINT, BYTES, FIXED32 = 0, 2, 5
_FIXED_SIZES = {1: 8, 5: 4}

# The place of a message or a text: its first byte, and the one after its last.
Span = tuple[int, int]
# A field: its number, its wire type, and either its value and 0, or the span of its bytes.
Field = tuple[int, int, int, int]


def damaged(what: str) -> ModelError:
    """The error for bytes that are not protobuf of ONNX's form, or beyond the limits."""
    return ModelError(f"the file is not an ONNX model, or it is damaged ({what}): export again")


def unwritten(what: str) -> ModelError:
    """The error for what ONNX allows, and an export never writes."""
    return ModelError(f"the file has {what}, which an export never writes: export again")


def _fixed_size(wire: int) -> int:
    if wire not in _FIXED_SIZES:
        raise damaged(f"wire type {wire} is not used by ONNX")
    return _FIXED_SIZES[wire]


class Reader:
    """Reads messages in place, and counts the fields that it may still read."""

    __slots__ = ("buffer", "fields_left")

    def __init__(self, buffer: memoryview) -> None:
        self.buffer = buffer
        self.fields_left = MAX_FIELDS

    def varint(self, position: int, end: int) -> tuple[int, int]:
        """The unsigned 64-bit value at `position`, and where it ends."""
        value = shift = 0
        while position < end and shift < 70:
            byte = self.buffer[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, position
            shift += 7
        raise damaged("a number runs past its end")

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of the message in buffer[start:end].

        Raises:
            ModelError: it is not protobuf, or more than MAX_FIELDS fields were read.
        """
        # Most tags, lengths and values are one byte; reading those in place halves the time.
        buffer, position = self.buffer, start
        while position < end:
            left = self.fields_left = self.fields_left - 1
            if left < 0:
                raise damaged(f"it declares more than {MAX_FIELDS} fields")
            tag = buffer[position]
            position += 1
            if tag > 0x7F:
                tag, position = self.varint(position - 1, end)
            number, wire = tag >> 3, tag & 7
            if not 0 < number < 1 << 29:
                raise damaged(f"field number {number} does not exist")
            if wire != BYTES and wire != VARINT:  # noqa: PLR1714 - a tuple of names is slower
                value = _fixed_size(wire)
            elif position < end and buffer[position] < 0x80:
                value = buffer[position]
                position += 1
            else:
                value, position = self.varint(position, end)
            if wire == VARINT:
                yield number, wire, value, 0
                continue
            if value > end - position:
                raise damaged("a field is longer than the message that holds it")
            yield number, wire, position, position + value
            position += value

    def spans(self, start: int, end: int, wanted: int) -> list[Span]:
        """Where the messages or texts of this field number are, in the file's order."""
        return [
            (first, last)
            for number, wire, first, last in self.fields(start, end)
            if number == wanted and wire == BYTES
        ]

    def packed(self, wire: int, value: int, stop: int) -> Iterable[int]:
        """The unsigned numbers in a field of integers, packed or not."""
        if wire == VARINT:
            return (value,)
        return self._varints(value, stop) if wire == BYTES else ()

    def _varints(self, position: int, end: int) -> Iterator[int]:
        while position < end:
            number, position = self.varint(position, end)
            yield number

    def text(self, start: int, end: int) -> str:
        """The text in buffer[start:end], which may be printed.

        Raises:
            ModelError: it is longer than MAX_NAME, not UTF-8, or has control characters.
        """
        if end - start > MAX_NAME:
            raise damaged(f"a name has {end - start} bytes, at most {MAX_NAME} are read")
        try:
            text = str(self.buffer[start:end], "utf-8")
        except UnicodeDecodeError:
            raise damaged("a name is not UTF-8") from None
        if not text.isprintable():
            raise damaged(f"the name {text[:40]!r} has characters that are not printable")
        return text
