"""Protobuf messages, written field by field: a message is its fields, joined."""

from __future__ import annotations

from fcn_edge_runtime.model.protobuf.reading import BYTES, VARINT

__all__ = ["field", "message", "varint"]


def varint(value: int) -> bytes:
    """An unsigned number of any size, seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, content: int | str | bytes | memoryview) -> bytes:
    """A field: an unsigned number as a varint, all else as bytes after their length."""
    if isinstance(content, int):
        return varint(number << 3 | VARINT) + varint(content)
    content = content.encode() if isinstance(content, str) else content
    return b"".join((varint(number << 3 | BYTES), varint(len(content)), content))


def message(number: int, *fields: bytes) -> bytes:
    """A field that holds a message of these fields."""
    return field(number, b"".join(fields))
