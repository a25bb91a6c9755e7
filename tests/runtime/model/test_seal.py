from __future__ import annotations

import hashlib
import io

import pytest

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.seal import SEAL_LENGTH, check_seal, seal_record, sealed, unsealed

BODY = b"\x08\x0a" + b"weights" * 100


def refusal(data):
    with pytest.raises(ModelError) as caught:
        check_seal(io.BytesIO(data), "road.onnx")
    return str(caught.value)


def test_the_record_is_the_85_bytes_of_the_format():
    digest = "ab" * 32
    assert (
        seal_record(digest) == bytes.fromhex("72530a0f") + b"fcn_edge.sha256" + b"\x12\x40" + digest.encode()
    )
    assert len(seal_record(digest)) == SEAL_LENGTH == 85


def test_a_malformed_digest_is_refused():
    for digest in ("ab" * 31, "AB" * 32, "xy" * 32, "é" * 64):
        with pytest.raises(ValueError, match="64 lower-case"):
            seal_record(digest)


def test_a_sealed_file_gives_the_digest_of_the_whole_file():
    data = sealed(BODY)
    assert check_seal(io.BytesIO(data)) == hashlib.sha256(data).hexdigest()
    assert unsealed(data) == BODY == unsealed(BODY)


def test_every_flipped_byte_is_found():
    data = bytearray(sealed(BODY))
    for position in range(len(data)):
        data[position] ^= 1
        assert "road.onnx" in refusal(bytes(data)), position
        data[position] ^= 1


def test_every_truncation_is_found():
    data = sealed(BODY)
    for length in range(len(data)):
        refusal(data[:length])


def test_a_file_without_a_seal_is_reported_as_unsealed():
    assert "is not sealed" in refusal(BODY)
    assert "is not sealed" in refusal(b"")


def test_a_file_rewritten_after_sealing_is_reported_as_changed():
    message = refusal(sealed(BODY) + b"\x72\x00")
    assert "was changed after export, or is damaged" in message
    assert "fcn-edge verify --reseal" in message


def test_a_seal_across_two_chunks_is_still_noticed():
    chunk = 1 << 20
    for shift in range(1, 20):
        data = b"\0" * (chunk - shift) + b"fcn_edge.sha256" + b"\0" * 200
        assert "was changed" in refusal(data)
