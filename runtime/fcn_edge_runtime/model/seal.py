"""The seal: the last 85 bytes of a model, which hold the SHA-256 of all bytes before them.

The record is one more `metadata_props` entry of the ONNX file, so every protobuf reader skips it, and it can
be checked as plain bytes before any parser sees the file. It detects accidents (a bad copy, a tool that
rewrote the file), not attackers.
"""

from __future__ import annotations

import hashlib
import os
from typing import BinaryIO

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.protobuf.fields import Model, StringStringEntry
from fcn_edge_runtime.model.protobuf.writing import field, message

__all__ = ["SEAL_KEY", "SEAL_LENGTH", "check_seal", "is_seal", "seal_record", "sealed", "unsealed"]

SEAL_KEY = "fcn_edge.sha256"
SEAL_LENGTH = 85
_DIGITS = 64
_HEX = frozenset(b"0123456789abcdef")
_CHUNK = 1 << 20
# All of the record that comes before the digits.
_PREFIX = message(
    Model.METADATA_PROPS,
    field(StringStringEntry.KEY, SEAL_KEY),
    field(StringStringEntry.VALUE, "0" * _DIGITS),
)[:-_DIGITS]


def seal_record(digest: str) -> bytes:
    """The 85 bytes that seal a file whose earlier bytes have this SHA-256 (64 lower-case hex digits)."""
    record = _PREFIX + digest.encode()
    if not is_seal(record):
        raise ValueError(f"got {digest!r}, expected 64 lower-case hex digits")
    return record


def sealed(data: bytes) -> bytes:
    """The serialized model with its seal at the end. `data` must not hold a seal yet: see `unsealed`."""
    return data + seal_record(hashlib.sha256(data).hexdigest())


def unsealed(data: bytes) -> bytes:
    """The model without the seal at its end; a file without one is returned unchanged."""
    return data[:-SEAL_LENGTH] if is_seal(data[-SEAL_LENGTH:]) else data


def is_seal(record: bytes) -> bool:
    """Whether these 85 bytes have the form of a seal, of any digest."""
    return len(record) == SEAL_LENGTH and record.startswith(_PREFIX) and _HEX.issuperset(record[-_DIGITS:])


def check_seal(stream: BinaryIO, name: str = "the model") -> str:
    """Compare the seal with the bytes before it, in one pass over the stream and without parsing it.

    Args:
        stream: the whole file, seekable; read from its start to its end in chunks of 1 MB.
        name: what messages call the file.

    Returns:
        The SHA-256 of the whole file, seal included: what `sha256sum` prints, as 64 hex digits.

    Raises:
        ModelError: there is no seal, or it does not match.
    """
    size = stream.seek(0, os.SEEK_END)
    record = b""
    if size >= SEAL_LENGTH:
        stream.seek(size - SEAL_LENGTH)
        record = stream.read(SEAL_LENGTH)
    stream.seek(0)
    if not is_seal(record):
        _refuse_unsealed(stream, name)
    digest = hashlib.sha256()
    remaining = size - SEAL_LENGTH
    while remaining:
        chunk = stream.read(min(_CHUNK, remaining))
        if not chunk:
            raise ModelError(f"{name} became shorter while it was read: open it again when it is complete")
        digest.update(chunk)
        remaining -= len(chunk)
    if seal_record(digest.hexdigest()) != record:
        _refuse_changed(name)
    digest.update(record)
    return digest.hexdigest()


def _refuse_unsealed(stream: BinaryIO, name: str) -> None:
    """Raise for a file that does not end in a seal; one that holds a seal elsewhere was changed by a tool."""
    key = SEAL_KEY.encode()
    tail = b""
    while chunk := stream.read(_CHUNK):
        if key in tail + chunk:
            _refuse_changed(name)
        tail = chunk[-len(key) :]
    raise ModelError(
        f"{name} is not sealed: expected a model that `fcn-edge export` wrote, whole; "
        "export it, or copy it again if the copy was cut"
    )


def _refuse_changed(name: str) -> None:
    raise ModelError(
        f"{name} was changed after export, or is damaged (its seal does not match): "
        "export again, or `fcn-edge verify --reseal`"
    )
