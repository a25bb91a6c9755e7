from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fcn_edge.card_file import Description, card_from, read_classes, read_description
from fcn_edge.workflows import Request, plan_export
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import Card, ClassCode, NetInfo


def card(described=None, **given):
    return card_from(described or Description(), name="net", net=NetInfo("net"), **given)


def test_voc_has_21_classes_with_its_order_and_colors():
    classes = read_classes("voc")
    assert len(classes) == 21
    assert (classes[0].name, classes[0].color) == ("background", (0, 0, 0))
    assert (classes[15].name, classes[15].color) == ("person", (192, 128, 128))
    assert (classes[20].name, classes[20].color) == ("tvmonitor", (0, 64, 128))


def test_cityscapes_has_its_19_training_classes():
    classes = read_classes("Cityscapes")
    assert [c.name for c in classes[:3]] == ["road", "sidewalk", "building"]
    assert classes[0].color == (128, 64, 128)
    assert len(classes) == 19


def test_a_number_numbers_the_classes_and_1_is_binary():
    assert [c.name for c in read_classes("3")] == ["class_0", "class_1", "class_2"]
    assert [c.name for c in read_classes("1")] == ["background", "object"]


@pytest.mark.parametrize("text", ["0", "70000", "vo", "names.txt", ""])
def test_an_invalid_class_list_is_refused(text):
    with pytest.raises(UsageError, match=r"expected"):
        read_classes(text)


def test_a_json_list_of_names_is_enough(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(["road", "house"]))
    assert [c.name for c in read_classes(str(path))] == ["road", "house"]


def test_a_toml_card_sets_everything(tmp_path):
    path = tmp_path / "card.toml"
    path.write_text(
        """
        name = "retina"
        description = "vessels"
        license = "MIT"
        classes = [{ name = "background", color = "#000000" }, { name = "vessel", color = [220, 20, 60] }]
        [input]
        dtype = "uint16"
        channels = 1
        mean = 0.5
        std = [0.25]
        """
    )
    made = card(read_description(path))
    assert (made.name, made.description, made.license) == ("retina", "vessels", "MIT")
    assert made.classes[1].color == (220, 20, 60)
    assert (made.input.dtype, made.input.channels) == ("uint16", 1)
    assert (made.input.mean, made.input.std, made.input.scale) == ((0.5,), (0.25,), 1 / 65535)


def test_a_class_may_have_a_code_of_medicine(tmp_path):
    path = tmp_path / "card.json"
    code = {"value": "10200004", "scheme": "SCT", "meaning": "Liver"}
    path.write_text(json.dumps({"classes": [{"name": "none"}, {"name": "liver", "code": code}]}))
    made = card(read_description(path))
    assert made.classes[1].code == ClassCode(**code)
    verified = replace(made, verification=replace(made.verification, verdict="passed"))
    assert Card.from_json(verified.to_json()).classes == made.classes
    assert "code" not in made.to_dict()["classes"][0]
    path.write_text(
        json.dumps({"classes": [{"name": "none"}, {"name": "liver", "code": {**code, "scheme": ""}}]})
    )
    with pytest.raises(
        UsageError, match=r"classes\[1\]\.code\.scheme' is '', expected printable text of 1 to 16"
    ):
        read_description(path)


def test_only_three_channels_get_imagenets_normalization():
    assert card().input.mean == (0.485, 0.456, 0.406)
    assert card(channels=4).input.mean == (0.0,) * 4
    assert card(channels=4).input.std == (1.0,) * 4


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nam = 'x'", "field 'nam' is unknown, expected only author, classes"),
        ("name = 3", "'name' is 3, expected text"),
        ("classes = ['one']", "at least two"),
        ("classes = [{name='a'}, {color='#000000'}]", r"classes\[1\]"),
        ("classes = [{name='a', color='#00'}, {name='b'}]", r"classes\[0\].color' is '#00'"),
        ("classes = [{name='a', color=[0, 0, 300]}, {name='b'}]", "from 0 to 255"),
        (
            "classes = [{name='a', id=1}, {name='b'}]",
            r"\[0\].id' is 1, expected 0, the position",
        ),
        ("input = 3", "expected an object"),
        ("[input]\nmena = 1", "input.mena"),
        ("[input]\ndtype = 'int8'", "one of uint8, uint16, float32"),
        ("[input]\nstd = 0", "number above 0"),
        ("[input]\nmean = [1, 2]", "3 numbers, one for each of 3 channels"),
        ("[input]\nchannels = 0", "1 to 4096"),
        ("[input]\nscale = -1", "above 0"),
        ("name = ", "not TOML"),
    ],
)
def test_an_invalid_card_file_names_the_field_in_one_line(tmp_path, text, complaint):
    path = tmp_path / "card.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=complaint) as caught:
        card(read_description(path))
    assert "\n" not in str(caught.value)


def test_a_missing_card_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere.toml cannot be read"):
        read_description(tmp_path / "nowhere.toml")


def test_channels_that_contradict_the_network_are_refused():
    with pytest.raises(UsageError, match=r"'input.channels' is 4, expected 1"):
        card(Description(input={"channels": 4}), channels=1)


def test_license_and_author_are_typed_or_in_a_card_file(tmp_path):
    (tmp_path / "card.json").write_text('{"author": "File", "license": "MIT"}')
    card = plan_export(Request("corridor", card=tmp_path / "card.json", normalize="imagenet")).card
    assert (card.author, card.license) == ("File", "MIT")
    card = plan_export(Request("corridor", author="Typed", license="BSD-3-Clause")).card
    assert (card.author, card.license) == ("Typed", "BSD-3-Clause")
