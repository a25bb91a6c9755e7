"""An existing file compared with its network: faults made in the finished file, and resealing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from fcn_edge_export import verify
from fcn_edge_export.options import VerifyOptions
from fcn_edge_export.simplify import operators
from fcn_edge_runtime import ModelError, Segmenter
from fcn_edge_runtime.errors import ArtifactError, UsageError, VerificationError
from fcn_edge_runtime.model.card import CARD_KEY, Card
from fcn_edge_runtime.model.seal import sealed, unsealed
from tests.export import networks
from tests.export.conftest import PROPERTIES
from tests.export.frames import picture
from tests.export.networks import MEAN, STD, Plain, seeded


@pytest.fixture
def copied(plain, tmp_path):
    """A copy of the plain network's file and report, to be damaged."""
    for source in (plain.path, plain.result.report):
        shutil.copy(source, tmp_path)
    return tmp_path / plain.path.name


def edit(path, change):
    """Change a finished file as someone would who knows it, and seal it properly."""
    model = onnx.load_model_from_string(unsealed(path.read_bytes()))
    change(model)
    card = next(entry for entry in model.metadata_props if entry.key == CARD_KEY)
    card.value = replace(Card.from_json(card.value), operators=operators(model)).to_json()
    path.write_bytes(sealed(model.SerializeToString(deterministic=True)))


def constant(model, name):
    return next(i for i in model.graph.initializer if i.name == name)


def node(model, operator):
    return next(n for n in model.graph.node if n.op_type == operator)


def put(tensor, value):
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), tensor.name))


def multiply(name, factor):
    def change(model):
        tensor = constant(model, name)
        put(tensor, (numpy_helper.to_array(tensor) * factor).astype(np.float32))

    return change


def swapped_mean_and_std(model):
    mean, std = np.array(STD, np.float32), np.array(MEAN, np.float32)
    put(constant(model, "fcn_edge/factor"), (1 / 255 / std).reshape(1, 3, 1, 1).astype(np.float32))
    put(constant(model, "fcn_edge/offset"), (-mean / std).reshape(1, 3, 1, 1))


def first_weight(model):
    return constant(model, node(model, "Conv").input[1])


def swapped_channels(model):
    put(first_weight(model), numpy_helper.to_array(first_weight(model))[:, ::-1])


def nan_weight(model):
    value = numpy_helper.to_array(first_weight(model)).copy()
    value[3, 1, 1, 1] = np.nan
    put(first_weight(model), value)


def scaled_weights(model):
    """A merged batch norm as it would be with another epsilon."""
    value = numpy_helper.to_array(first_weight(model)).copy()
    value[2] *= 0.994
    put(first_weight(model), value)


def class_bias(model):
    bias = constant(model, [n for n in model.graph.node if n.op_type == "Conv"][-1].input[2])
    value = numpy_helper.to_array(bias).copy()
    value[1] += 0.03
    put(bias, value)


def align_corners(model):
    mode = next(a for a in node(model, "Resize").attribute if a.name == "coordinate_transformation_mode")
    mode.s = b"align_corners"


def baked_size(model):
    size = helper.make_tensor("baked", onnx.TensorProto.INT64, [4], [1, 5, 61, 83])
    model.graph.initializer.append(size)
    node(model, "Resize").input[3] = "baked"


def labels_of_the_least(model):
    node(model, "ArgMax").op_type = "ArgMin"


def confidence_of_the_average(model):
    winner = next(n for n in model.graph.node if n.output[0] == "confidence")
    winner.op_type = "Log"


FAULTS = {
    "/256 for /255": (multiply("fcn_edge/factor", 255 / 256), "numbers"),
    "std .224 for .225": (
        multiply("fcn_edge/factor", np.array([1, 1, 0.225 / 0.224]).reshape(1, 3, 1, 1)),
        "numbers",
    ),
    "swapped mean and std": (swapped_mean_and_std, "numbers"),
    "RGB and BGR swapped": (swapped_channels, "numbers"),
    "weights of another epsilon": (scaled_weights, "numbers"),
    "a class bias of 1 %": (class_bias, "numbers"),
    "a NaN weight": (nan_weight, "finite"),
    "a flipped align_corners": (align_corners, "numbers"),
    "a baked output size": (baked_size, "run|shape"),
    "the least likely class": (labels_of_the_least, "head"),
    "a confidence that is none": (confidence_of_the_average, "confidence"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.sampled(4)
def test_a_faulty_file_with_a_valid_seal_is_refused(fault, plain, copied):
    change, rule = FAULTS[fault]
    edit(copied, change)
    before = states(copied.parent)
    with pytest.raises(VerificationError, match=f"rule '({rule})'"):
        verify(copied, plain.net)
    # Resealing does not help either.
    with pytest.raises(VerificationError, match=f"rule '({rule})'"):
        verify(copied, plain.net, options=VerifyOptions(reseal=True))
    assert states(copied.parent) == before


def states(folder):
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns, p.stat().st_ino) for p in folder.iterdir()}


def test_a_correct_file_gets_a_new_report_and_is_not_changed(plain, copied):
    data = copied.read_bytes()
    report = copied.with_suffix(".verification.json")
    report.unlink()
    result = verify(copied, plain.net, options=VerifyOptions(sizes=[(73, 19)]))
    assert copied.read_bytes() == data
    assert result.same_weights
    assert not result.resealed
    assert result.digest == plain.result.digest
    found = json.loads(report.read_text())
    assert found["model_sha256"] == plain.result.digest
    assert found["verdict"] == "passed"
    assert [1, 73, 19] in [entry["size"] for entry in found["providers"][0]["inputs"]]
    assert sorted(p.name for p in copied.parent.iterdir()) == sorted([copied.name, report.name])


def test_your_own_frames_are_verified_by_name(plain, copied):
    def frames(card):
        assert card.input.dtype == "uint8"
        return {"dusk.png": lambda: picture(48, 64, 3, "uint8")}

    result = verify(copied, plain.net, images=frames)
    assert result.verdicts[0].results[-1].name == "dusk.png"
    assert result.verdicts[0].results[-1].size == (1, 48, 64)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (picture(48, 64, 3, "float32"), "dusk.png: the image's dtype is float32, expected uint8"),
        (picture(48, 64, 4, "uint8"), r"dusk.png: the image has shape \(48, 64, 4\)"),
    ],
)
def test_a_frame_that_does_not_fit_the_model_is_an_input_error(frame, message, plain, copied):
    from fcn_edge_runtime import InputError

    with pytest.raises(InputError, match=message):
        verify(copied, plain.net, images=lambda _: {"dusk.png": lambda: frame})


def test_a_flipped_bit_is_refused_by_the_seal(plain, copied):
    data = bytearray(copied.read_bytes())
    data[len(data) // 2] ^= 4
    copied.write_bytes(data)
    for use in (lambda: verify(copied, plain.net), lambda: Segmenter(copied)):
        with pytest.raises(ModelError, match="changed after export, or is damaged"):
            use()


def touched(model):
    """The changes of a viewer or an editor: another producer, a doc string, a renamed node."""
    model.producer_name = "a viewer"
    model.doc_string = "opened at /home/somebody"
    model.metadata_props.add(key="opened", value="yesterday")
    model.graph.node[2].name = "renamed"
    model.graph.node[2].doc_string = "here"


def test_a_harmless_change_is_refused_until_it_is_resealed(plain, copied):
    model = onnx.load(copied)
    touched(model)
    onnx.save(model, copied)
    with pytest.raises(ModelError, match=r"changed after export.*fcn-edge verify --reseal"):
        verify(copied, plain.net)
    with pytest.raises(ModelError, match="changed after export"):
        Segmenter(copied)

    result = verify(copied, plain.net, options=VerifyOptions(reseal=True))

    assert result.resealed
    assert result.card.produced_by["resealed-by"] == result.card.produced_by["fcn-edge"]
    frame = picture(61, 83, 3, "uint8")
    labels = Segmenter(copied, "cpu")(frame).labels
    np.testing.assert_array_equal(labels, Segmenter(plain.path, "cpu")(frame).labels)
    assert b"somebody" not in copied.read_bytes()
    healed = onnx.load(copied)
    assert [p.key for p in healed.metadata_props] == PROPERTIES
    assert verify(copied, plain.net).digest == result.digest
    found = json.loads(copied.with_suffix(".verification.json").read_text())
    assert found["model_sha256"] == result.digest


def test_a_harmful_change_is_not_resealed(plain, copied):
    model = onnx.load(copied)
    class_bias(model)
    onnx.save(model, copied)
    before = states(copied.parent)
    with pytest.raises(VerificationError, match="rule 'numbers'"):
        verify(copied, plain.net, options=VerifyOptions(reseal=True))
    assert states(copied.parent) == before


def test_other_weights_are_refused(copied):
    with pytest.raises(VerificationError, match="13 of 13 inputs differ"):
        verify(copied, seeded(Plain, seed=1))


def test_another_number_of_classes_is_a_wrong_shape(copied):
    with pytest.raises(VerificationError, match="rule 'shape'"):
        verify(copied, seeded(lambda: Plain(classes=7)))


def test_a_network_for_other_images_is_refused_by_the_probe(copied):
    with pytest.raises(ArtifactError, match=r"accepted no 3-channel image.*input.*to have 1 channels"):
        verify(copied, seeded(lambda: Plain(channels=1)))


def test_a_network_in_training_mode_is_verified_and_not_changed(copied):
    net = seeded(Plain).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    verify(copied, net)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_file_without_a_probe_point_is_refused(plain, copied):
    def renamed(model):
        for part in model.graph.node:
            for names in (part.input, part.output):
                for index, name in enumerate(names):
                    if name == "logits":
                        names[index] = "scores"
        kept = [o for o in model.graph.output if o.name != "logits"]
        del model.graph.output[:]
        model.graph.output.extend(kept)

    edit(copied, renamed)
    with pytest.raises(ArtifactError, match=r"no tensor called 'logits'.*export again"):
        verify(copied, plain.net)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.onnx", None, "there is no model file"),
        ("text.onnx", b"not a model", "too few for a model"),
        ("noise.onnx", bytes(range(256)) * 4, "is not sealed"),
    ],
)
def test_a_file_that_fcn_edge_did_not_write_is_refused(name, content, message, plain, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        verify(tmp_path / name, plain.net)


def test_an_unreadable_file_cannot_be_resealed(plain, tmp_path):
    for name, content in (("missing.onnx", None), ("noise.onnx", bytes(range(256)) * 4)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=name):
            verify(tmp_path / name, plain.net, options=VerifyOptions(reseal=True))


@pytest.mark.parametrize("size", [(0, 9), (9, -1), (5000, 9)])
def test_a_size_that_cannot_be_verified_is_a_usage_error(size, plain, copied):
    with pytest.raises(UsageError, match="expected sides of 1 to 4096"):
        verify(copied, plain.net, options=VerifyOptions(sizes=[size]))


def test_no_device_at_all_is_a_wrong_argument(plain, copied):
    with pytest.raises(UsageError, match="no device"):
        verify(copied, plain.net, options=VerifyOptions(devices=[]))


def test_a_network_that_returns_something_else_is_refused(plain, copied):
    silent = networks.Wrapped(plain.net, lambda _: None)
    with pytest.raises(ArtifactError, match="returned NoneType, expected logits"):
        verify(copied, silent)
