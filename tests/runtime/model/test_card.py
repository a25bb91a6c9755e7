from __future__ import annotations

import copy
import json

import pytest

from fcn_edge_runtime import Card, ModelError
from fcn_edge_runtime.model.card import ClassInfo, InputSpec, VerificationInfo


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
    card = make_card(classes=4, channels=1, dtype="uint16")
    again = Card.from_json(card.to_json())
    assert again == card
    assert again.to_json() == card.to_json()


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
        ("notes", {"a": 1}),
    ],
)
def test_a_wrong_field_is_named_in_one_line(data, path, value):
    with pytest.raises(ModelError, match=r"the card's field") as caught:
        Card.from_json(at(data, path, value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "3", "{", "[" * 100_000, "\xff", '{"schema": NaN}'])
def test_what_is_no_card_is_refused(text):
    with pytest.raises(ModelError):
        Card.from_json(text)


def test_a_huge_card_is_not_parsed():
    with pytest.raises(ModelError, match="at most"):
        Card.from_json(" " * (5 << 20))
