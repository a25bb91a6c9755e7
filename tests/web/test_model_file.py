"""What the JavaScript module reads of a file is what Python reads. Needs Node.js alone."""

from __future__ import annotations

import hashlib
import json

import pytest

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.model.protobuf.fields import Model, StringStringEntry
from fcn_edge_runtime.model.protobuf.writing import field, message
from fcn_edge_runtime.model.seal import sealed, unsealed

from .conftest import ROOT

ARTIFACTS = sorted((ROOT / "tests/artifacts").glob("*.onnx"))
GOOD = ROOT / "tests/artifacts/0.1.0-float.onnx"


def metadata(key, value):
    return message(
        Model.METADATA_PROPS, field(StringStringEntry.KEY, key), field(StringStringEntry.VALUE, value)
    )


def with_card(**changes):
    """The good file with a changed card, sealed again."""
    with ModelFile.open(GOOD) as model:
        card = model.summary.metadata["fcn_edge.card"]
    changed = json.dumps({**json.loads(card), **changes}, sort_keys=True, separators=(",", ":"))
    data = unsealed(GOOD.read_bytes())
    entry = metadata("fcn_edge.card", card)
    assert data.count(entry) == 1
    return sealed(data.replace(entry, metadata("fcn_edge.card", changed)))


def test_a_card_reads_as_in_python(node):
    for path, got in zip(ARTIFACTS, node("facts.mjs", *ARTIFACTS), strict=True):
        with ModelFile.open(path) as model:
            expected = json.loads(model.card.to_json())
        for key in ("name", "classes", "unlabeled", "input", "geometry", "precision"):
            assert got["card"][key] == expected[key], (path.name, key)


def test_a_digest_is_that_of_sha256sum(node):
    for path, got in zip(ARTIFACTS, node("facts.mjs", *ARTIFACTS), strict=True):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert (got["digest"], got["script"]) == (digest, digest), path.name


def test_a_self_test_sees_the_pixels_that_python_saw(node):
    for path, got in zip(ARTIFACTS, node("facts.mjs", *ARTIFACTS), strict=True):
        with ModelFile.open(path) as model:
            assert got["images"] == [case.input_sha256 for case in model.golden.cases], path.name


BROKEN = {
    "empty": lambda: b"",
    "short": lambda: b"onnx",
    "cut": lambda: GOOD.read_bytes()[:-1000],
    "cut within the seal": lambda: GOOD.read_bytes()[:-3],
    "one bit": lambda: GOOD.read_bytes().replace(b"Conv", b"Conw", 1),
    "appended to": lambda: GOOD.read_bytes() + b"\0",
    "another kind of file": lambda: b"\x89PNG" * 100,
    "a card of tomorrow": lambda: with_card(schema="fcn-edge-card/2"),
    "two classes of one id": lambda: with_card(
        classes=[{"id": 0, "name": "a", "color": [0, 0, 0]}, {"id": 0, "name": "b", "color": [0, 0, 0]}]
    ),
    "no card": lambda: sealed(unsealed(GOOD.read_bytes()).replace(b"fcn_edge.card", b"fcn_edge.cord")),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_damaged_file_is_refused_in_pythons_words(node, tmp_path, kind):
    path = tmp_path / "model.onnx"
    path.write_bytes(BROKEN[kind]())
    with pytest.raises(ModelError) as refusal:
        ModelFile.open(path)
    [got] = node("facts.mjs", path)
    assert got == {"error": "ModelError", "message": str(refusal.value)}


GARBAGE = {
    "random bytes": bytes(range(7, 250)),
    "a length beyond the end": b"\x3a\xff\xff\xff\xff\x7fabc",
    "a number without an end": b"\x08" + b"\xff" * 40,
    "a fixed number cut off": b"\x09abc",
    "metadata that is cut off": b"\x72\x05\x0a\x7fabc",
    "a card that is not JSON": metadata("fcn_edge.card", "{"),
    "a card that is a list": metadata("fcn_edge.card", "[]"),
    "a card that is null": metadata("fcn_edge.card", "null"),
}


def test_sealed_garbage_is_refused(node, tmp_path):
    paths = []
    for number, content in enumerate(GARBAGE.values()):
        paths.append(tmp_path / f"{number}.onnx")
        paths[-1].write_bytes(sealed(content))
    for kind, got in zip(GARBAGE, node("facts.mjs", *paths), strict=True):
        assert got["error"] == "ModelError", (kind, got)


def test_a_plain_page_hashes_any_length_alike(node, tmp_path):
    paths = []
    for length in (86, *range(110, 130), 5000, 300_001):
        paths.append(tmp_path / f"{length}")
        paths[-1].write_bytes(sealed(metadata("k", "v" * length)))
    got = node("hashes.mjs", *paths)
    assert got == [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
