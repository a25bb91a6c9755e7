"""Folders of Hugging Face's save_pretrained: what is read from them before any weights are."""

from __future__ import annotations

import json

import pytest

from fcn_edge.nets.sources.huggingface import read_huggingface
from fcn_edge.workflows import Request, plan_export
from fcn_edge_runtime.errors import CheckpointError, UsageError

CONFIG = {
    "architectures": ["SegformerForSemanticSegmentation"],
    "id2label": {"0": "road", "1": "grass", "2": "sky"},
}
PREPROCESSING = {
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.2, 0.1],
    "do_resize": True,
    "size": {"height": 128, "width": 160},
}


@pytest.fixture
def folder(tmp_path):
    def make(config=CONFIG, preprocessing=PREPROCESSING, weights="model.safetensors", **changes):
        place = tmp_path / "city"
        place.mkdir()
        (place / "config.json").write_text(json.dumps(config))
        (place / "preprocessor_config.json").write_text(json.dumps({**preprocessing, **changes}))
        (place / weights).write_bytes(b"")
        return place

    return make


def test_classes_normalization_and_size_come_from_its_files(folder):
    plan = plan_export(Request(f"hf:{folder()}"))
    assert [c.name for c in plan.card.classes] == ["road", "grass", "sky"]
    assert plan.card.input.mean == (0.5, 0.4, 0.3)
    assert plan.card.input.std == (0.2, 0.2, 0.1)
    assert plan.card.input.scale == pytest.approx(1 / 255)
    assert plan.working_size == "128x160"
    assert (plan.card.name, plan.spec.name) == ("city", "hf:city")
    assert plan.source.endswith("preprocessor_config.json")


@pytest.mark.parametrize(
    ("changes", "formula"),
    [
        ({"do_normalize": False}, "x = pixel / 255"),
        ({"do_normalize": False, "do_rescale": False}, "x = pixel"),
        ({"do_normalize": False, "rescale_factor": 1 / 127.5}, "x = pixel * 0.00784314"),
        ({"image_mean": 0.5, "image_std": 0.25}, "x = (pixel / 255 - 0.5) / 0.25"),
    ],
)
def test_switched_off_steps_are_left_out_of_the_formula(folder, changes, formula):
    assert plan_export(Request(f"hf:{folder(**changes)}")).card.input.formula == formula


def test_a_processor_that_another_holds_normalizes(folder):
    place = folder(do_normalize=False)
    (place / "processor_config.json").write_text(json.dumps({"image_processor": PREPROCESSING}))
    plan = plan_export(Request(f"hf:{place}"))
    assert plan.card.input.mean == (0.5, 0.4, 0.3)
    assert plan.source.endswith(" processor_config.json")


@pytest.mark.parametrize("part", [{"num_channels": 4}, {"backbone_config": {"num_channels": 4}}])
def test_channels_are_those_of_the_network(folder, part):
    plan = plan_export(Request(f"hf:{folder({**CONFIG, **part}, do_normalize=False)}"))
    assert plan.card.input.channels == 4


@pytest.mark.parametrize(
    "palette", [[[1, 2, 3], [4, 5, 6], [7, 8, 9]], {"0": [1, 2, 3], "1": [4, 5, 6], "2": [7, 8, 9]}]
)
def test_the_palette_of_a_processor_colors_the_classes(folder, palette):
    classes = plan_export(Request(f"hf:{folder(palette=palette)}")).card.classes
    assert [(c.name, c.color) for c in classes][1:] == [("grass", (4, 5, 6)), ("sky", (7, 8, 9))]


def test_a_palette_of_other_length_is_left_out(folder):
    classes = plan_export(Request(f"hf:{folder(palette=[[1, 2, 3]])}")).card.classes
    assert classes[0].color != (1, 2, 3)


def test_a_network_that_classifies_masks_is_taken(folder):
    plan = plan_export(
        Request(f"hf:{folder({**CONFIG, 'architectures': ['Mask2FormerForUniversalSegmentation']})}")
    )
    assert plan.card.description.startswith("Mask2FormerForUniversalSegmentation")


def test_reduced_labels_are_stated_on_the_card(folder):
    assert "class i is i + 1" in plan_export(Request(f"hf:{folder(do_reduce_labels=True)}")).card.description


def test_a_size_that_depends_on_the_image_is_a_note(folder):
    plan = plan_export(Request(f"hf:{folder(size={'shortest_edge': 512}, do_center_crop=True)}"))
    assert plan.working_size is None
    assert "shortest_edge" in plan.notes[0]
    assert "crops" in plan.notes[1]


@pytest.mark.parametrize(
    ("changes", "working", "note"),
    [
        ({"size": 64, "image_processor_type": "SegformerImageProcessor"}, "64x64", None),
        (
            {"size": 64, "image_processor_type": "MobileViTImageProcessor"},
            None,
            "resizes to 64, which depends",
        ),
        ({"size": 64, "feature_extractor_type": "MaskFormerFeatureExtractor"}, None, "resizes to 64, which"),
        ({"keep_aspect_ratio": True}, None, "about 128x160 in the aspect ratio of the image"),
        ({"resample": 3}, "128x160", "with another filter"),
    ],
)
def test_one_size_for_all_is_the_working_size(folder, changes, working, note):
    plan = plan_export(Request(f"hf:{folder(**changes)}"))
    assert plan.working_size == working
    assert note in plan.notes[0] if note else not plan.notes


def test_steps_that_the_file_does_not_do_are_notes(folder):
    notes = plan_export(Request(f"hf:{folder(do_thumbnail=True, do_pad=True, do_convert_rgb=True)}")).notes
    assert [note.partition(";")[0] for note in notes] == [
        "its preprocessing pads",
        "its preprocessing has do_thumbnail, which the file does not do",
    ]


def test_a_size_of_no_number_is_refused_by_its_file(folder):
    with pytest.raises(UsageError, match=r"field 'size.width' is 'wide'"):
        read_huggingface(f"hf:{folder(size={'height': 64, 'width': 'wide'})}")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**CONFIG, "architectures": ["BertForMaskedLM"]}, "BertForMaskedLM, expected one that ends in"),
        ({"id2label": {}}, "without an architecture"),
        ({**CONFIG, "id2label": {"0": "road", "2": "sky"}}, "none for '1'"),
        ([1], "holds no object"),
    ],
)
def test_a_folder_of_something_else_is_refused_by_name(folder, config, message):
    with pytest.raises(UsageError, match=message):
        read_huggingface(f"hf:{folder(config)}")


@pytest.mark.security(
    "Hugging Face folder with Python code of its own", "refused without --trust-remote-code"
)
def test_code_that_comes_with_a_network_needs_permission(folder):
    config = {**CONFIG, "auto_map": {"AutoModelForSemanticSegmentation": "evil.Net"}}
    with pytest.raises(UsageError, match="--trust-remote-code"):
        read_huggingface(f"hf:{folder(config)}")


@pytest.mark.security("Hugging Face folder with pickled weights", "refused: safetensors alone are read")
def test_pickled_weights_are_refused_before_anything_loads(folder):
    with pytest.raises(CheckpointError, match=r"holds no \.safetensors"):
        read_huggingface(f"hf:{folder(weights='pytorch_model.bin')}")


def test_a_missing_folder_is_refused_by_its_name():
    with pytest.raises(UsageError, match=r"there is no folder \./nowhere"):
        read_huggingface("hf:./nowhere")


def test_weights_beside_those_of_the_folder_are_refused(folder):
    with pytest.raises(UsageError, match="leave out --weights"):
        plan_export(Request(f"hf:{folder()}", weights="built"))
