from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest

from fcn_edge_runtime import Card, ModelError
from fcn_edge_runtime.model.card import (
    CalibrationInfo,
    ClassInfo,
    InputSpec,
    LoweringInfo,
    VerificationInfo,
    WorkingSize,
)
from fcn_edge_runtime.model.file import ModelFile

LOWERED = LoweringInfo(
    "0" * 64, "x86-vnni", True, 0.97, CalibrationInfo("1" * 64, 32, "entropy"), ("conv1", "conv2")
)


def make_card(classes=3, channels=3, dtype="uint8"):
    infos = tuple(ClassInfo(i, f"class {i}", (i % 256, 0, 0)) for i in range(classes))
    passed = VerificationInfo("passed", sizes=((1, 64, 64),), providers=("CPUExecutionProvider",))
    return Card("net", infos, InputSpec.default(channels, dtype), verification=passed)


@pytest.fixture
def data():
    return make_card().to_dict()


def at(data, path, value):
    changed = copy.deepcopy(data)
    *parents, last = path.split(".")
    place = changed
    for key in parents:
        place = place[int(key) if key.isdecimal() else key]
    place[int(last) if last.isdecimal() else last] = value
    return json.dumps(changed)


def test_a_card_survives_json_and_gives_the_same_bytes_again():
    cards = [
        make_card(classes=4, channels=1, dtype="uint16"),
        replace(make_card(), head="sparse", working_size=WorkingSize((1, 3), None, least=33, coarse=True)),
        replace(make_card(), working_size=WorkingSize(None, (240, 320)), precision="int8", lowering=LOWERED),
        replace(make_card(), precision="fp16", lowering=LoweringInfo("f" * 64, "gpu")),
    ]
    for card in cards:
        again = Card.from_json(card.to_json())
        assert again == card
        assert again.to_json() == card.to_json()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("target", "toaster"),
        ("parent_sha256", "F" * 64),
        ("speed_measured", "yes"),
        ("integer_share", 1.1),
        ("integer_share", None),
        ("kept_in_float", "conv1"),
        ("calibration", {"sha256": "0" * 64, "frames": 0, "method": "entropy"}),
    ],
)
def test_a_wrong_fact_about_an_int8_file_is_named(field, value):
    data = replace(make_card(), precision="int8", lowering=LOWERED).to_dict()
    with pytest.raises(ModelError, match=rf"field 'lowering\.{field}(\.frames)?' is .*: export again"):
        Card.from_json(at(data, f"lowering.{field}", value))


@pytest.mark.parametrize(
    ("working", "image", "expected"),
    [
        (WorkingSize((1, 2), None), (75, 133), (38, 67)),
        (WorkingSize((1, 2), None, least=33), (40, 200), (33, 100)),
        (WorkingSize(None, (40, 56)), (90, 121), (40, 56)),
    ],
)
def test_the_working_image_has_the_size_on_the_card(working, image, expected):
    assert working.of(*image) == expected


def test_a_file_of_a_pre_release_is_refused_in_one_line():
    kept = Path(__file__).parent / "data" / "pre-release-int8.onnx"
    with pytest.raises(ModelError, match=r"written by a pre-release of fcn-edge.*: export again$") as caught:
        ModelFile.open(kept)
    assert "\n" not in str(caught.value)


def test_no_more_than_a_name_is_needed_to_begin():
    card = Card("road")
    assert card.input == InputSpec.default()
    assert card.label_dtype == "uint8"


def test_255_classes_fit_in_bytes_and_256_do_not():
    assert (make_card(classes=255).label_dtype, make_card(classes=255).unlabeled) == ("uint8", 255)
    assert (make_card(classes=256).label_dtype, make_card(classes=256).unlabeled) == ("uint16", 65535)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", "fcn-edge-card/2"),
        ("name", 3),
        ("input.channels", 0),
        ("input.dtype", "int8"),
        ("input.scale", 0),
        ("input.scale", 10**400),
        ("input.mean", [0.1]),
        ("input.std", [1, 1, 0]),
        ("input.std", [1, 1, -(10**400)]),
        ("classes", []),
        ("classes.1.id", 2),
        ("classes.1.color", [0, 0, 256]),
        ("classes.1.color", "red"),
        ("classes.0.name", None),
        ("unlabeled", 254),
        ("geometry.stride", 0),
        ("geometry.sees_whole_image", 1),
        ("precision", "fp8"),
        ("produced_by", []),
        ("net.options", []),
        ("net.options", {"a": [[[[[[1]]]]]]}),
        ("verification.verdict", "none"),
        ("verification.sizes", [[1, 2]]),
        ("verification.providers", [3]),
        ("produced_by", {"fcn-edge": 1}),
        ("net.weights_sha256", "abc"),
        ("verification.reference", "caffe"),
        ("verification.reference", "parent"),
        ("head", "wide"),
        ("head", None),
        ("working_size", "0.5x"),
        ("working_size", {"fraction": None, "size": None, "least": 1, "coarse": False}),
        ("working_size", {"fraction": [1, 2], "size": [8, 8], "least": 1, "coarse": False}),
        ("working_size", {"fraction": [2, 1], "size": None, "least": 1, "coarse": False}),
        ("working_size", {"fraction": [1, 0], "size": None, "least": 1, "coarse": False}),
        ("working_size", {"fraction": None, "size": [8, 5000], "least": 1, "coarse": False}),
        ("precision", "int8"),
        ("lowering", {"parent_sha256": "0" * 64, "target": "arm64"}),
    ],
)
def test_a_wrong_field_is_named_in_one_line(data, path, value):
    with pytest.raises(ModelError, match=r"the card: field '.*' is .*, expected .*: export again") as caught:
        Card.from_json(at(data, path, value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "3", "{", "[" * 100_000, "\xff", '{"schema": NaN}'])
def test_what_is_not_a_card_is_refused(text):
    with pytest.raises(ModelError):
        Card.from_json(text)


def test_a_huge_card_is_not_parsed():
    with pytest.raises(ModelError, match="at most"):
        Card.from_json(" " * (5 << 20))
