from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path

import onnx
import pytest
from google.protobuf import text_format

from fcn_edge.package.triton import TritonOptions, package_for_triton
from fcn_edge_export.artifact import assemble
from fcn_edge_runtime.errors import ModelError, UsageError
from fcn_edge_runtime.model.file import ModelFile

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
FLOAT = ARTIFACTS / "0.1.0-float.onnx"


@pytest.fixture(scope="module")
def proto():
    """The messages that Triton reads config.pbtxt with, from NVIDIA's client; without gRPC."""
    found = importlib.util.find_spec("tritonclient")
    path = Path(found.submodule_search_locations[0]) / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def config(proto, tmp_path):
    def run(source=FLOAT, **options):
        made = package_for_triton(source, tmp_path / "repository", TritonOptions(**options))
        text = (made.folder / "config.pbtxt").read_text("utf-8")
        return text_format.Parse(text, proto.ModelConfig()), made

    return run


def test_tritons_own_messages_read_the_configuration(config, proto):
    read, made = config(name="road")
    assert (read.name, read.backend, read.max_batch_size) == ("road", "onnxruntime", 8)
    [image] = read.input
    assert (image.name, image.data_type, list(image.dims)) == ("image", proto.TYPE_UINT8, [-1, -1, 3])
    kinds = {o.name: (o.data_type, list(o.dims)) for o in read.output}
    assert kinds == {
        "labels": (proto.TYPE_UINT8, [-1, -1]),
        "confidence": (proto.TYPE_FP32, [-1, -1]),
        "probabilities": (proto.TYPE_FP32, [5, -1, -1]),
        "logits": (proto.TYPE_FP32, [5, -1, -1]),
    }
    assert read.dynamic_batching.max_queue_delay_microseconds == 2000
    assert not read.optimization.execution_accelerators.gpu_execution_accelerator
    assert made.folder.name == "road"


def test_the_repository_holds_the_file_as_it_is(config):
    read, made = config()
    with ModelFile.open(FLOAT) as file:
        classes, digest = [c.name for c in file.card.classes], file.digest
    with ModelFile.open(made.folder / "1" / "model.onnx") as file:
        assert file.digest == digest == read.parameters["fcn_edge.sha256"].string_value
    [labels] = [o for o in read.output if o.name == "labels"]
    assert (made.folder / labels.label_filename).read_text("utf-8").splitlines() == classes


def test_sizes_are_the_profiles_of_tensorrt(config):
    read, _ = config(sizes=((240, 320), (480, 200)), batch=4, fp16=True)
    [engine] = read.optimization.execution_accelerators.gpu_execution_accelerator
    assert engine.name == "tensorrt"
    values = dict(engine.parameters)
    assert values["precision_mode"] == "FP16"
    first = {end: values[f"trt_profile_{end}_shapes"].split(",") for end in ("min", "opt", "max")}
    assert {end: shapes[0] for end, shapes in first.items()} == {
        "min": "image:1x240x200x3",
        "opt": "image:4x240x320x3",
        "max": "image:4x480x320x3",
    }
    assert "fcn_edge/float:4x3x480x320" in first["max"]
    assert [list(w.inputs["image"].dims) for w in read.model_warmup] == [[240, 320, 3], [480, 200, 3]]


@pytest.mark.parametrize(
    ("kind", "types"),
    [("uint16", ("TYPE_UINT16", 1)), ("float32-input", ("TYPE_FP32", 5)), ("300-classes", ("TYPE_UINT8", 3))],
)
def test_other_pixels_have_their_types(config, proto, kind, types):
    [image] = config(ARTIFACTS / f"0.1.0-{kind}.onnx")[0].input
    assert (image.data_type, image.dims[-1]) == (getattr(proto, types[0]), types[1])


def test_a_binary_network_has_one_plane_of_probabilities(config):
    read, _ = config(ARTIFACTS / "0.1.0-binary.onnx")
    assert {o.name: list(o.dims) for o in read.output}["probabilities"] == [1, -1, -1]


def test_a_model_of_that_name_is_replaced_by_force_alone(config):
    _, made = config(name="road")
    (made.folder / "2").mkdir()
    with pytest.raises(UsageError, match="road exists already: --force replaces all that is in it"):
        config(name="road")
    config(name="road", force=True)
    assert sorted(p.name for p in made.folder.iterdir()) == ["1", "config.pbtxt", "labels.txt"]
    assert [p.name for p in made.folder.parent.iterdir()] == ["road"]


def test_a_damaged_model_leaves_no_repository(config, tmp_path):
    data = bytearray(FLOAT.read_bytes())
    data[2000] ^= 1
    (tmp_path / "bad.onnx").write_bytes(data)
    with pytest.raises(ModelError, match="was changed after export"):
        config(tmp_path / "bad.onnx")
    assert list((tmp_path / "repository").iterdir()) == []


def test_a_failure_leaves_the_old_model(config, monkeypatch):
    _, made = config(name="road")
    from fcn_edge.package import folder

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "place", full)
    with pytest.raises(Exception, match="No space left"):
        config(name="road", force=True)
    assert (made.folder / "1" / "model.onnx").read_bytes() == FLOAT.read_bytes()
    assert [p.name for p in made.folder.parent.iterdir()] == ["road"]


@pytest.mark.security("a class name that ends a text of Triton's configuration", "stays one text")
def test_a_class_name_cannot_end_its_text(config, tmp_path):
    harmful = 'wall" } } max_batch_size: 1 # \\'
    with ModelFile.open(FLOAT) as file:
        classes = tuple(dataclasses.replace(c, name=f"{harmful}{c.id}") for c in file.card.classes)
        card, golden = dataclasses.replace(file.card, classes=classes), file.golden
    (tmp_path / "harmful.onnx").write_bytes(assemble(onnx.load(FLOAT), card, golden))
    read, _ = config(tmp_path / "harmful.onnx")
    assert read.max_batch_size == 8
    assert json.loads(read.parameters["fcn_edge.classes"].string_value) == [c.name for c in classes]


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "ä", "a" * 200])
def test_a_name_that_is_no_folders_is_refused(config, name):
    with pytest.raises(UsageError, match=r"expected letters, digits"):
        config(name=name)
