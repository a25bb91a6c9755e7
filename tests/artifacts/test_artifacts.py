"""Files of every released version load, pass their self-test, and give the same labels as at their release.

It needs only numpy, onnxruntime and the runtime: `make test-oldest` runs it on the oldest stack.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.model.golden_input import image_digest, pattern
from fcn_edge_runtime.selftest import run_selftest
from fcn_edge_runtime.session.session import open_session

HERE = Path(__file__).parent
SETS = [json.loads(path.read_text()) for path in sorted(HERE.glob("*.json"))]
RECORDS = {record["file"]: record for release in SETS for record in release["files"]}


def test_every_kept_file_is_recorded_and_unchanged():
    assert sorted(RECORDS) == sorted(path.name for path in HERE.glob("*.onnx"))
    for name, record in RECORDS.items():
        assert hashlib.sha256((HERE / name).read_bytes()).hexdigest() == record["sha256"], name


def test_the_first_set_exists_and_gives_several_labels():
    assert "0.1.0" in [release["version"] for release in SETS]
    for name, record in RECORDS.items():
        assert max(case["distinct"] for case in record["cases"]) > 1, name
        assert sum(case["decided"] for case in record["cases"]) > 1000, name


@pytest.mark.parametrize("name", RECORDS)
def test_a_file_of_an_earlier_release_passes_its_self_test(name):
    with ModelFile.open(HERE / name) as model:
        report = run_selftest(open_session(model, "cpu"), model.card, model.golden)
    assert report.passed


@pytest.mark.security("files of an earlier release", "load, pass, give the same labels")
@pytest.mark.parametrize("name", RECORDS)
def test_a_file_of_an_earlier_release_gives_the_same_labels(name):
    with Segmenter(HERE / name, "cpu") as segmenter:
        card = segmenter.card
        for case in RECORDS[name]["cases"]:
            image = pattern(*case["size"], card.input.channels, case["seed"], card.input)
            assert image_digest(image) == case["input_sha256"]
            labels = segmenter(image).labels.copy()
            packed = np.frombuffer(zlib.decompress(base64.b64decode(case["undecided"])), np.uint8)
            # Undecided pixels, by the file's own tolerance, may get another label on another machine.
            undecided = np.unpackbits(packed, count=labels.size).reshape(labels.shape).astype(bool)
            assert (~undecided).sum() == case["decided"]
            labels[undecided] = card.unlabeled
            assert image_digest(labels) == case["labels_sha256"], case["size"]
