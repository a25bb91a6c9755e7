"""fcn_edge.hpp, under the address and the undefined-behavior sanitizer, compared with the Python runtime."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess

import numpy as np
import pytest
from PIL import Image

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.model.golden_input import pattern
from fcn_edge_runtime.model.seal import sealed, unsealed
from fcn_edge_runtime.segmenter import Segmenter
from tests.damaged_files import ARTIFACTS, BROKEN, GARBAGE, GOOD
from tests.hostile.registry import subject
from tests.runtime import make_models

from .conftest import ROOT

pytestmark = pytest.mark.slow

SIZES = ((1, 1), (31, 64), (97, 45), (120, 160))
FRAMES = sorted((ROOT / "models/corridor/heldout/images").glob("*"))[:10]
MUTATIONS = 2000


@pytest.mark.parametrize("path", ARTIFACTS, ids=lambda path: path.stem)
def test_arrays_have_pythons_labels(segment, path):
    segmenter = Segmenter(path, device="cpu")
    spec = segmenter.card.input
    for size in SIZES:
        image = pattern(1, *size, spec.channels, 5, spec)[0]
        labels, _ = segment(path, image)
        np.testing.assert_array_equal(labels, segmenter(image).labels)


def test_the_self_test_decides_what_it_does_in_python(segment):
    with ModelFile.open(GOOD) as model:
        decided = sum(int((case.labels != 255).sum()) for case in model.golden.cases)
    _, line = segment(GOOD, np.zeros((5, 7, 3), np.uint8))
    assert line == f"{decided} 35"


def test_a_wrong_self_test_refuses_the_device(segment, tmp_path):
    make_models.build("plain_wrong", tmp_path / "model.onnx")
    labels, line = segment(tmp_path / "model.onnx", np.zeros((5, 7, 3), np.uint8))
    assert labels is None
    assert line.startswith("VerificationError the self-test failed: at 2x64x96, ")


def test_an_array_of_another_type_is_refused(segment):
    _, line = segment(GOOD, np.zeros((5, 7, 3), np.float32))
    assert line == "InputError the image's dtype is float32, expected uint8"


def test_an_image_too_small_is_refused(segment, tmp_path):
    make_models.make_model(tmp_path / "model.onnx", **make_models.KINDS["large"])
    _, line = segment(tmp_path / "model.onnx", np.zeros((30, 70, 3), np.uint8))
    assert "the image is 30 high and 70 wide, expected at least 40 each way" in line


def test_numbers_that_are_not_finite_are_refused(segment, tmp_path):
    make_models.make_model(tmp_path / "model.onnx", **make_models.KINDS["float"])
    _, line = segment(tmp_path / "model.onnx", np.full((5, 7, 3), np.nan, np.float32))
    assert line.startswith("InputError the image holds values that are NaN or infinite")


def test_a_card_reads_as_in_python(driver):
    for path, line in zip(ARTIFACTS, driver("facts", *ARTIFACTS), strict=True):
        with ModelFile.open(path) as model:
            name, count = model.card.name, len(model.card.classes)
        assert line == f"{hashlib.sha256(path.read_bytes()).hexdigest()} {count} {name}"


@pytest.mark.parametrize("kind", BROKEN)
def test_a_damaged_file_is_refused_in_pythons_words(driver, tmp_path, kind):
    path = tmp_path / "model.onnx"
    path.write_bytes(BROKEN[kind]())
    with pytest.raises(ModelError) as refusal:
        ModelFile.open(path)
    assert driver("facts", path) == [f"ModelError {refusal.value}"]


def test_sealed_garbage_is_refused(driver, tmp_path):
    paths = []
    for number, content in enumerate(GARBAGE.values()):
        paths.append(tmp_path / f"{number}.onnx")
        paths[-1].write_bytes(sealed(content))
    for kind, line in zip(GARBAGE, driver("facts", *paths), strict=True):
        assert line.startswith("ModelError "), kind


@pytest.mark.security("hostile model files, read in C++", "no memory error, by the sanitizers")
def test_hostile_files_are_read_without_a_fault(driver, tmp_path):
    paths = []
    for number, case in enumerate(subject("models").cases):
        place = tmp_path / str(number)
        place.mkdir()
        paths.append(case.make(place))
    assert len(driver("facts", *paths)) == len(paths) > 50


@pytest.mark.security("model files of random damage, read in C++", "no memory error, by the sanitizers")
def test_mutated_files_are_read_without_a_fault(driver, tmp_path):
    """The metadata is at the end: most mutations are made there."""
    rng = random.Random(1)  # noqa: S311 - of test data
    data = [unsealed(path.read_bytes()) for path in ARTIFACTS]
    paths = []
    for number in range(MUTATIONS):
        mutated = bytearray(rng.choice(data))
        for _ in range(rng.randint(1, 4)):
            at = len(mutated) - 1 - int(rng.random() ** 2 * len(mutated))
            if rng.random() < 0.2:
                del mutated[at : at + rng.randint(1, 50)]
            else:
                mutated[at % len(mutated)] = rng.randrange(256)
        paths.append(tmp_path / f"{number}.onnx")
        paths[-1].write_bytes(sealed(bytes(mutated)))
    lines = driver("facts", *paths)
    refused = sum(line.startswith("ModelError ") for line in lines)
    assert len(lines) == MUTATIONS
    assert 0 < refused < MUTATIONS


def test_the_example_labels_ten_frames_as_python(example, tmp_path):
    segmenter = Segmenter(GOOD, device="cpu")
    for frame in FRAMES:
        pixels = np.asarray(Image.open(frame).convert("RGB"))
        Image.fromarray(pixels).save(tmp_path / "frame.ppm")
        done = subprocess.run([example, GOOD, tmp_path / "frame.ppm"], capture_output=True)
        assert done.returncode == 0, done.stderr
        (tmp_path / "labels.pgm").write_bytes(done.stdout)
        with Image.open(tmp_path / "labels.pgm") as labels:
            np.testing.assert_array_equal(np.asarray(labels), segmenter(pixels).labels)


def test_the_example_refuses_bad_input_in_one_line(example, tmp_path):
    good, cut, text = (tmp_path / name for name in ("good.ppm", "cut.ppm", "text.ppm"))
    Image.new("RGB", (8, 8)).save(good)
    cut.write_bytes(good.read_bytes()[:-1])
    text.write_text("P3\n1 1\n255\n0 0 0\n")
    (tmp_path / "model.onnx").write_bytes(GOOD.read_bytes()[:-1])
    make_models.build("plain_wrong", tmp_path / "wrong.onnx")
    for model, frame, code, words in (
        (GOOD, cut, 1, "is cut off"),
        (GOOD, text, 1, "is not there, or is not a PPM (P6) of 8 bits"),
        (GOOD, tmp_path / "none.ppm", 1, "is not there"),
        (tmp_path / "model.onnx", good, 1, "was changed after export"),
        (tmp_path / "wrong.onnx", good, 3, "the self-test failed"),
    ):
        done = subprocess.run([example, model, frame], capture_output=True, text=True)
        assert done.returncode == code
        assert words in done.stderr
        assert (done.stdout, done.stderr.count("\n")) == ("", 1)


@pytest.mark.security("onnxruntime's telemetry", "off: no look-up, nothing under the home folder")
def test_running_a_model_leaves_nothing_at_home(example, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "frame.ppm")
    kept = {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    command = [example, GOOD, tmp_path / "frame.ppm"]
    subprocess.run(command, env={**kept, "HOME": str(home)}, check=True, capture_output=True)
    assert list(home.rglob("*")) == []
