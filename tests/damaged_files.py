"""Model files that are damaged in many ways, for the runtimes in other languages."""

from __future__ import annotations

import json
from pathlib import Path

from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.model.protobuf.fields import Model, StringStringEntry
from fcn_edge_runtime.model.protobuf.writing import field, message
from fcn_edge_runtime.model.seal import sealed, unsealed

ROOT = Path(__file__).parents[1]
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


# Python refuses each in one line; other languages in the same.
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


# Files that are sealed all the same.
GARBAGE = {
    "random bytes": bytes(range(7, 250)),
    "a length beyond the end": b"\x3a\xff\xff\xff\xff\x7fabc",
    "a number without an end": b"\x08" + b"\xff" * 40,
    "a fixed number cut off": b"\x09abc",
    "metadata that is cut off": b"\x72\x05\x0a\x7fabc",
    "a card that is not JSON": metadata("fcn_edge.card", "{"),
    "a card that is a list": metadata("fcn_edge.card", "[]"),
    "a card that is not UTF-8": b"\x72\x13\x0a\x0dfcn_edge.card\x12\x02\xc3\x28",
    "a card that is null": metadata("fcn_edge.card", "null"),
}
