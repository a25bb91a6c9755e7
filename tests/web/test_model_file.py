"""What the JavaScript module reads of a file is what Python reads. Needs Node.js alone."""

from __future__ import annotations

import hashlib
import json

import pytest

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.model.seal import sealed
from tests.damaged_files import ARTIFACTS, BROKEN, GARBAGE, metadata


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


@pytest.mark.parametrize("kind", BROKEN)
def test_a_damaged_file_is_refused_in_pythons_words(node, tmp_path, kind):
    path = tmp_path / "model.onnx"
    path.write_bytes(BROKEN[kind]())
    with pytest.raises(ModelError) as refusal:
        ModelFile.open(path)
    [got] = node("facts.mjs", path)
    assert got == {"error": "ModelError", "message": str(refusal.value)}


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
