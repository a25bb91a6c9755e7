from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from fcn_edge.package.huggingface import package_for_huggingface
from fcn_edge_export.artifact import assemble
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.file import ModelFile
from tests.consumers import run_consumer
from tests.export.parents import blocks

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
FLOAT = ARTIFACTS / "0.1.0-float.onnx"


def described(folder, **changes):
    """The kept file with another card."""
    with ModelFile.open(FLOAT) as file:
        card, golden = dataclasses.replace(file.card, **changes), file.golden
    path = folder / "road.onnx"
    path.write_bytes(assemble(onnx.load(FLOAT), card, golden))
    return path


def front(folder):
    """What the hub reads: the lines between the dashes, each value as JSON, which YAML reads, too."""
    text = (folder / "README.md").read_text("utf-8").split("---\n")[1]
    return {key: json.loads(value) for key, value in (line.split(": ", 1) for line in text.splitlines())}


def processed(image, folder):
    """The image as the processor of the folder makes it, computed here."""
    facts = json.loads((folder / "preprocessor_config.json").read_bytes())
    values = image.astype(np.float32) * np.float32(facts["rescale_factor"])
    if facts["do_normalize"]:
        mean, std = (np.array(facts[k], np.float32) for k in ("image_mean", "image_std"))
        values = (values - mean) / std
    return values.transpose(2, 0, 1)[None]


def labels_of(folder, values):
    session = onnxruntime.InferenceSession(
        str(folder / "onnx/model.onnx"), providers=["CPUExecutionProvider"]
    )
    return session.run(["logits"], {"pixel_values": values})[0].argmax(1)[0]


@pytest.mark.parametrize("kind", ["float", "binary", "padded", "int8"])
def test_processed_images_get_the_models_labels(kind, tmp_path):
    source = ARTIFACTS / f"0.1.0-{kind}.onnx"
    package_for_huggingface(source, tmp_path / "out")
    image = blocks(49, 67)
    with Segmenter(source) as segmenter:
        expected = segmenter(image).labels
    agreement = (labels_of(tmp_path / "out", processed(image, tmp_path / "out")) == expected).mean()
    assert agreement > 0.999  # its rounding is not ours


def test_the_folder_names_classes_and_holds_the_file(tmp_path):
    made = package_for_huggingface(described(tmp_path, license="Apache-2.0"), tmp_path / "out")
    config = json.loads((tmp_path / "out/config.json").read_bytes())
    names = [c.name for c in made.card.classes]
    assert config["id2label"] == {str(i): name for i, name in enumerate(names)}
    assert config["label2id"] == {name: i for i, name in enumerate(names)}
    with ModelFile.open(tmp_path / "out/road.onnx") as file:
        assert file.digest == config["fcn_edge"]["sha256"]
    assert front(tmp_path / "out")["license"] == "apache-2.0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", None), ("MIT", ("mit", None)), ("Ours: ask\nfirst", ("other", "Ours: ask first"))],
)
def test_a_license_that_the_hub_does_not_know_is_other(text, expected, tmp_path):
    package_for_huggingface(described(tmp_path, license=text), tmp_path / "out")
    found = front(tmp_path / "out")
    assert expected == (None if not text else (found["license"], found.get("license_name")))


@pytest.mark.security("a description that ends the head of a model card", "it is text below the head")
def test_a_description_cannot_break_the_card(tmp_path):
    harmful = "---\nlicense: mit\n---\n{file} `x` | y"
    package_for_huggingface(described(tmp_path, name="a|b", description=harmful), tmp_path / "out")
    text = (tmp_path / "out/README.md").read_text("utf-8")
    assert re.search(r"^# a\\\|b$", text, re.MULTILINE)
    assert harmful in text
    assert front(tmp_path / "out")["pipeline_tag"] == "image-segmentation"


def test_a_model_that_no_processor_feeds_is_refused(tmp_path):
    with pytest.raises(UsageError, match="hf gives images of 3 channels, this model takes 1"):
        package_for_huggingface(ARTIFACTS / "0.1.0-uint16.onnx", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_files_is_kept_without_force(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("x")
    with pytest.raises(UsageError, match="out exists already: --force replaces all that is in it"):
        package_for_huggingface(FLOAT, tmp_path / "out")
    assert (tmp_path / "out/mine.txt").read_text() == "x"
    package_for_huggingface(FLOAT, tmp_path / "out", force=True)
    assert not (tmp_path / "out/mine.txt").exists()


@pytest.mark.slow
def test_hugging_faces_own_packages_read_the_folder(tmp_path):
    source = described(tmp_path, license="Ours", description="Walls and floors.")
    made = package_for_huggingface(source, tmp_path / "out")
    image = blocks(49, 67)
    np.save(tmp_path / "image.npy", image)
    script = Path(__file__).with_name("with_transformers.py")
    found = json.loads(
        run_consumer(script, tmp_path / "out", tmp_path / "image.npy", tmp_path / "values.npy")
    )
    assert found["id2label"] == {str(c.id): c.name for c in made.card.classes}
    assert found["card"]["license"] == "other"
    assert found["card"]["pipeline_tag"] == "image-segmentation"
    values = np.load(tmp_path / "values.npy")
    assert np.abs(values - processed(image, tmp_path / "out")).max() < 1e-5
    with Segmenter(source) as segmenter:
        assert (labels_of(tmp_path / "out", values) == segmenter(image).labels).mean() > 0.999
