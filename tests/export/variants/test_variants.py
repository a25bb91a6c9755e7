from __future__ import annotations

import dataclasses
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from fcn_edge.cli.variant import NAMES
from fcn_edge_export import variant
from fcn_edge_export.artifact import assemble
from fcn_edge_export.graph.probe_outputs import with_logits_output
from fcn_edge_export.lowering.quantize import quantize
from fcn_edge_export.options import QuantizeOptions
from fcn_edge_export.variants import variant as module
from fcn_edge_export.variants.targets import TARGETS
from fcn_edge_export.verification.head_rule import ROUNDINGS
from fcn_edge_export.verification.measure import margins
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import ArtifactError, ModelError, UsageError, VerificationError
from fcn_edge_runtime.model.file import VARIANT_KEY, ModelFile
from fcn_edge_runtime.model.seal import check_seal
from fcn_edge_runtime.session.session import open_session
from tests.export.parents import blocks, frames, write_parent

ARTIFACTS = Path(__file__).parents[2] / "artifacts"


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    return write_parent(tmp_path_factory.mktemp("variants") / "parent.onnx")


@pytest.fixture
def make(tmp_path):
    def run(parent, target, **options):
        return variant(
            parent, tmp_path / f"made{TARGETS[target.partition(':')[0]].ending}", target, **options
        )

    return run


def session(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def run(path, value):
    opened = session(path)
    return opened.run(None, {opened.get_inputs()[0].name: value})[0]


def planes(image):
    return image.transpose(2, 0, 1)[None].astype(np.float32)


def decided(scores):
    return scores.argmax(1)[0] if scores.shape[1] > 1 else (scores[0, 0] > 0).astype(np.int64)


def labels_by(target, path, image, card):
    """The labels (H, W) as each consumer gets them, written here a second time."""
    if target == "static":
        return run(path, image[None])[0]
    if target == "model-api":
        return decided(run(path, image[None]))
    if target == "isaac":
        return run(path, planes(image) / 255)[0, :, :, 0]
    if target == "logits":
        mean, std = (np.array(v, np.float32)[:, None, None] for v in (card.input.mean, card.input.std))
        return decided(run(path, (planes(image) * np.float32(card.input.scale) - mean) / std))
    return decided(run(path, planes(image) / 255))


def decided_by_more_than_rounding(source, image):
    """Where (H, W) the two best logits differ by more than kernels for other shapes may round."""
    logits = open_session(with_logits_output(onnx.load(source)), "cpu").run(image[None], ["logits"])["logits"]
    decided = margins(logits)[0] > ROUNDINGS * np.abs(logits).max()
    assert decided.mean() > 0.99
    return decided


def metadata(path):
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


@pytest.mark.parametrize("kind", ["float", "int8", "padded", "pooled", "sparse", "binary"])
@pytest.mark.parametrize("target", ["deepness:64x64", "isaac:64x64", "model-api", "static:64x64", "logits"])
def test_every_kind_of_file_keeps_its_labels(make, kind, target):
    source = ARTIFACTS / f"0.1.0-{kind}.onnx"
    if (kind, target) == ("int8", "logits"):
        with pytest.raises(UsageError, match="int8 file reads the pixels themselves: take its float parent"):
            make(source, target)
        return
    made = make(source, target)
    with Segmenter(source) as segmenter:
        image = np.random.default_rng(5).integers(0, 256, (64, 64, 3), np.uint8)
        got = labels_by(target.partition(":")[0], made.path, image, segmenter.card)
        assert (got == segmenter(image).labels)[decided_by_more_than_rounding(source, image)].all()


@pytest.mark.parametrize("kind", ["uint16", "float32-input", "300-classes"])
@pytest.mark.parametrize("target", ["static:64x64", "logits"])
def test_other_pixels_and_many_classes_have_variants(make, kind, target):
    source = ARTIFACTS / f"0.1.0-{kind}.onnx"
    made = make(source, target)
    onnx.checker.check_model(onnx.load(made.path), full_check=True)
    assert made.ties == 0


def test_rasters_of_16_bits_keep_their_labels_in_deepness(make):
    source = ARTIFACTS / "0.1.0-uint16.onnx"
    made = make(source, "deepness:64x64")
    image = np.random.default_rng(5).integers(0, 65536, (64, 64, 1), np.uint16)
    given = np.float32(image[None] * 1.0 / 255.0).transpose(0, 3, 1, 2)  # as the plugin computes it
    with Segmenter(source) as segmenter:
        assert (decided(run(made.path, given)) == segmenter(image).labels).all()


def test_the_file_names_its_parent_and_is_sealed(parent, make):
    made = make(parent, "logits", images=lambda _: frames(2))
    with made.path.open("rb") as stream:
        assert check_seal(stream) == made.digest
    record = json.loads(metadata(made.path)[VARIANT_KEY])
    with ModelFile.open(parent) as file:
        assert record["parent_sha256"] == made.parent == file.digest
        assert [c["name"] for c in record["classes"]] == [c.name for c in file.card.classes]
    assert json.loads(made.report.read_bytes())["model_sha256"] == made.digest
    assert [1, 48, 64] in record["compared"]["sizes"]


def test_deepness_reads_its_keys_as_json(parent, make):
    made = make(parent, "deepness", images=lambda _: frames(1))
    keys = {k: json.loads(v) for k, v in metadata(made.path).items() if not k.startswith("fcn_edge.")}
    overlap = keys.pop("tiles_overlap")
    assert 0 < overlap <= 50
    assert keys == {
        "model_type": "Segmentor",
        "class_names": {"0": "class_0", "1": "class_1", "2": "class_2"},
        "tile_size": 512,
        "tiles_size": 512,
        "seg_thresh": 0.0,
        "seg_small_segment": 0,
    }


def test_deepness_finds_channels_and_a_square(parent, make):
    opened = session(make(parent, "deepness:64x64").path)
    [image], [scores] = opened.get_inputs(), opened.get_outputs()
    assert image.shape[-3:] == [3, 64, 64]
    assert isinstance(image.shape[0], str)  # it chooses how many tiles at once
    assert scores.shape[-3:] == [3, 64, 64]
    tiles = np.stack([blocks(64, 64, seed) for seed in (1, 2)])
    given = np.float32(tiles * 1.0 / 255.0).transpose(0, 3, 1, 2)  # as the plugin computes it
    found = opened.run(None, {image.name: given})[0]
    assert np.allclose(found.sum(1), 1, atol=1e-5)
    with Segmenter(parent) as segmenter:
        assert all((found[i].argmax(0) == segmenter(tiles[i]).labels).all() for i in (0, 1))


def test_isaac_gets_class_ids_as_it_reads_them(parent, make):
    made = make(parent, "isaac:48x64")
    [value] = session(made.path).get_outputs()
    assert (value.type, value.shape) == ("tensor(int32)", [1, 48, 64, 1])
    assert any("network_image_width 64, network_image_height 48" in duty for duty in made.duties)


@pytest.mark.parametrize("target", ["static:48x64", "isaac:48x64"])
def test_a_fixed_size_leaves_no_shape_open(make, target, tmp_path):
    source = write_parent(tmp_path / "sparse.onnx", sparse=True)
    graph = onnx.load(make(source, target).path).graph
    assert not {"Shape", "NonZero", "Range", "Compress"} & {node.op_type for node in graph.node}
    known = {value.name: value.type.tensor_type.shape.dim for value in (*graph.value_info, *graph.output)}
    for node in graph.node:
        assert all(dim.dim_value > 0 for dim in known[node.output[0]]), node.name


def test_weights_of_an_int8_file_stay_int8(make):
    source = ARTIFACTS / "0.1.0-int8.onnx"
    made = make(source, "static:48x64")
    sides = [
        sum(c.data_type in (TensorProto.INT8, TensorProto.UINT8) and len(c.dims) == 4 for c in g.initializer)
        for g in (onnx.load(source).graph, onnx.load(made.path).graph)
    ]
    assert sides[0] == sides[1] > 0


def test_model_api_finds_its_entries(parent, make):
    keys = metadata(make(parent, "model-api").path)
    assert keys["model_info model_type"] == "Segmentation"
    assert keys["model_info labels"] == "class_0 class_1 class_2"
    assert keys["model_info embedded_processing"] == "True"


def test_an_archive_of_the_same_model_has_the_same_bytes(parent, tmp_path):
    one, two = (variant(parent, tmp_path / f"{n}.tar.xz", "luxonis:48x64") for n in "ab")
    assert one.digest == two.digest
    assert one.report.name == "a.verification.json"
    with tarfile.open(one.path) as archive:
        assert archive.getnames() == ["config.json", "model.onnx"]
        data = archive.extractfile("model.onnx").read()
    check_seal(io.BytesIO(data))


def test_our_runtime_says_what_a_variant_is(parent, make):
    made = make(parent, "logits")
    with pytest.raises(ModelError, match="is a variant that `fcn-edge variant` made for another program"):
        Segmenter(made.path)


def test_one_wrong_label_leaves_no_file(parent, tmp_path, monkeypatch):
    honest = module.laid_out

    def wrong(*given):
        model = honest(*given)
        bias = next(c for c in model.graph.initializer if c.name == "classifier.bias")
        bias.CopyFrom(onnx.numpy_helper.from_array(np.array([0.02, 0, 0], np.float32), bias.name))
        return model

    monkeypatch.setattr(module, "laid_out", wrong)
    with pytest.raises(VerificationError, match=r"of \d+ labels differ from the parent's at "):
        variant(parent, tmp_path / "x.onnx", "model-api", images=lambda _: frames(4))
    assert list(tmp_path.iterdir()) == []


def test_probabilities_of_300_classes_are_refused(make):
    with pytest.raises(UsageError, match="model-api holds at most 255 classes, this model has 300"):
        make(ARTIFACTS / "0.1.0-300-classes.onnx", "model-api")


def test_pixels_that_a_consumer_lacks_are_refused(make):
    with pytest.raises(UsageError, match="deepness gives uint8 or uint16 pixels, this model takes float32"):
        make(ARTIFACTS / "0.1.0-float32-input.onnx", "deepness")
    with pytest.raises(UsageError, match="isaac gives images of 3 channels, this model takes 5"):
        make(ARTIFACTS / "0.1.0-float32-input.onnx", "isaac:64x64")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("tensorflow", "unknown target 'tensorflow': expected one of deepness, isaac, model-api"),
        ("isaac", "isaac needs a size, and this network has none of its own"),
        ("static:0x5", "got '0x5', expected HEIGHTxWIDTH"),
        ("static:9000x10", "expected at most 2160x3840 pixels and sides of 4096"),
        ("deepness:64x65", "deepness takes squares, got 64x65"),
        ("model-api:64x64", "model-api takes images of any size: leave 64x64 out"),
    ],
)
def test_a_target_that_does_not_fit_is_one_line(parent, target, words):
    with pytest.raises(UsageError, match=words):
        variant(parent, parent.with_name("x.onnx"), target)


def test_a_network_of_labels_alone_has_no_scores(parent, tmp_path):
    with ModelFile.open(parent) as file:
        net = dataclasses.replace(file.card.net, activation="argmax")
        card, golden = dataclasses.replace(file.card, net=net), file.golden
    (tmp_path / "argmax.onnx").write_bytes(assemble(onnx.load(parent), card, golden))
    with pytest.raises(UsageError, match="needs scores of each class, this network gives labels alone"):
        variant(tmp_path / "argmax.onnx", tmp_path / "x.onnx", "model-api")


def test_the_parent_is_not_overwritten(parent):
    with pytest.raises(UsageError, match="is the parent: write the variant beside it"):
        variant(parent, parent, "logits")


def test_the_name_ends_as_the_consumer_expects(parent, tmp_path):
    with pytest.raises(ArtifactError, match=r"expected one that ends in \.tar\.xz"):
        variant(parent, tmp_path / "x.onnx", "luxonis:48x64")


def test_the_command_completes_every_target():
    assert tuple(TARGETS) == NAMES


def test_an_int8_child_of_a_search_keeps_its_labels(parent, tmp_path):
    options = QuantizeOptions(target="x86", allow_slower=True)
    small = quantize(parent, tmp_path / "int8.onnx", lambda _: frames(8), options=options)
    made = variant(small.path, tmp_path / "x.onnx", "isaac:48x64", images=lambda _: frames(4))
    assert made.parent == small.digest
