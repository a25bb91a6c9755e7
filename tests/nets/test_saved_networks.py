"""Folders of segmentation_models_pytorch and bundles of MONAI: what is read before any weights are."""

from __future__ import annotations

import json
import sys
import types

import pytest
import torch
from torch import nn

from fcn_edge.nets.weights.sources import BuiltWeights, build_with_weights
from fcn_edge.workflows import Request, plan_export
from fcn_edge_runtime.errors import CheckpointError, UsageError

SMP = {
    "_model_class": "Unet",
    "encoder_name": "resnet18",
    "encoder_weights": "imagenet",
    "activation": None,
    "in_channels": 1,
    "classes": 3,
}
FORMAT = {
    "inputs": {"image": {"num_channels": 1, "value_range": [0, 1]}},
    "outputs": {"pred": {"num_channels": 3, "channel_def": {"0": "background", "1": "liver", "2": "spleen"}}},
}
NETWORK = {
    "_target_": "UNet",
    "spatial_dims": 2,
    "in_channels": 1,
    "out_channels": "@classes",
    "channels": [4, 8],
}


@pytest.fixture
def smp(tmp_path):
    def make(config, weights="model.safetensors"):
        folder = tmp_path / "city"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        (folder / weights).write_bytes(b"")
        return f"smp:{folder}"

    return make


@pytest.fixture
def bundle(tmp_path):
    def make(network=NETWORK, transforms=(), **changes):
        folder = tmp_path / "organs"
        (folder / "configs").mkdir(parents=True)
        (folder / "models").mkdir()
        metadata = {"network_data_format": FORMAT, "description": "Organs.", **changes}
        (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
        config = {"classes": 3, "network_def": network, "evil": "$__import__('os').abort()"}
        config["network"] = "$@network_def.to(@device)"
        config["preprocessing"] = {"_target_": "Compose", "transforms": list(transforms)}
        (folder / "configs" / "inference.json").write_text(json.dumps(config))
        torch.save(nn.Conv2d(1, 3, 1).state_dict(), folder / "models" / "model.pt")
        return f"monai:{folder}"

    return make


def test_a_folder_of_smp_needs_a_normalization(smp):
    with pytest.raises(UsageError, match="nothing states how smp:"):
        plan_export(Request(smp(SMP)))


def test_a_folder_of_smp_is_planned_with_its_normalization(smp):
    plan = plan_export(Request(smp(SMP), normalize="0.5/0.2"))
    assert (plan.card.name, plan.spec.name) == ("city", "smp:city")
    assert plan.card.input.channels == 1
    assert plan.card.description == "Unet on resnet18 of segmentation_models_pytorch"
    assert "trained on imagenet" in plan.notes[0]
    assert isinstance(plan.weights, BuiltWeights)


def test_a_folder_of_something_else_is_refused(smp):
    with pytest.raises(UsageError, match="no network that segmentation_models_pytorch"):
        plan_export(Request(smp({"architectures": ["Bert"]})))


def test_a_pickle_of_smp_is_refused(smp):
    with pytest.raises(CheckpointError, match=r"no model\.safetensors"):
        plan_export(Request(smp(SMP, weights="pytorch_model.bin")))


def test_a_folder_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="there is no folder nowhere"):
        plan_export(Request("smp:nowhere"))


def test_a_bundle_gives_classes_channels_and_weights(bundle, monkeypatch):
    nets = types.ModuleType("monai.networks.nets")
    seen = {}

    class UNet(nn.Conv2d):
        def __init__(self, **options):
            seen.update(options)
            super().__init__(options["in_channels"], options["out_channels"], 1)

    nets.UNet = UNet
    monkeypatch.setitem(sys.modules, "monai", types.ModuleType("monai"))
    monkeypatch.setitem(sys.modules, "monai.networks", types.ModuleType("monai.networks"))
    monkeypatch.setitem(sys.modules, "monai.networks.nets", nets)
    plan = plan_export(Request(bundle(), normalize="0-1"))
    assert [c.name for c in plan.card.classes] == ["background", "liver", "spleen"]
    assert (plan.card.input.channels, plan.card.description) == (1, "Organs.")
    assert plan.notes == ("its network's images have values of [0, 1]",)
    net = build_with_weights(plan.spec, plan.weights)
    assert seen == {"spatial_dims": 2, "in_channels": 1, "out_channels": 3, "channels": [4, 8]}
    assert net.weight.shape == (3, 1, 1, 1)


RANGE = {
    "_target_": "ScaleIntensityRanged",
    "a_min": 0,
    "a_max": 255,
    "b_min": 0.0,
    "b_max": 1.0,
    "clip": True,
}
NORMAL = {"_target_": "monai.transforms.NormalizeIntensityd", "subtrahend": 0.5, "divisor": 0.25}
CT = {"_target_": "ScaleIntensityRanged", "a_min": -200, "a_max": 200, "b_min": 0.0, "b_max": 1.0}


@pytest.mark.parametrize(
    ("transforms", "formula"),
    [
        ([RANGE], "x = pixel / 255"),
        ([RANGE, NORMAL], "x = (pixel / 255 - 0.5) / 0.25"),
        ([CT], "x = (pixel - -200) / 400"),
    ],
)
def test_the_preprocessing_of_a_bundle_is_the_formula(bundle, transforms, formula):
    plan = plan_export(Request(bundle(transforms=transforms)))
    assert plan.card.input.formula == formula
    assert plan.source.endswith("configs/inference.json")


def test_a_bundle_that_loads_images_sees_them_transposed(bundle, monkeypatch):
    load = {"_target_": "LoadImaged", "keys": "image", "ensure_channel_first": True}
    resize = {"_target_": "Resized", "keys": "image", "spatial_size": [736, 480]}
    scale = {"_target_": "ScaleIntensityd", "keys": "image"}
    nets = types.ModuleType("monai.networks.nets")

    class UNet(nn.Conv2d):
        def __init__(self, in_channels, out_channels, **_):
            super().__init__(in_channels, out_channels, (1, 3))

    nets.UNet = UNet
    monkeypatch.setitem(sys.modules, "monai", types.ModuleType("monai"))
    monkeypatch.setitem(sys.modules, "monai.networks", types.ModuleType("monai.networks"))
    monkeypatch.setitem(sys.modules, "monai.networks.nets", nets)
    plan = plan_export(Request(bundle(transforms=[load, resize, scale]), normalize="0-1"))
    assert plan.working_size == "480x736"
    assert "resizes by a filter of its own" in plan.notes[1]
    assert "ScaleIntensityd, which the file does not do" in plan.notes[2]
    assert plan.spec.build()(torch.zeros(1, 1, 9, 5)).shape == (1, 3, 7, 5)  # its rows are columns


@pytest.mark.security("a MONAI bundle whose network is a program", "refused, nothing of it is run")
@pytest.mark.parametrize("value", ["$__import__('os').abort()", "@evil", "%other.json"])
def test_a_program_in_a_bundle_is_not_run(bundle, value):
    with pytest.raises(UsageError, match="a program, which is not run"):
        plan_export(Request(bundle({**NETWORK, "channels": [value]}), normalize="0-1"))


@pytest.mark.parametrize("target", ["os.system", "monai.bundle.run", "subprocess.Popen"])
def test_a_bundle_builds_networks_of_monai_alone(bundle, target):
    with pytest.raises(UsageError, match=r"is no network of monai\.networks\.nets"):
        plan_export(Request(bundle({**NETWORK, "_target_": target}), normalize="0-1"))


def test_a_bundle_of_volumes_is_refused(bundle):
    with pytest.raises(UsageError, match="3 dimensions, expected 2"):
        plan_export(Request(bundle({**NETWORK, "spatial_dims": 3}), normalize="0-1"))
