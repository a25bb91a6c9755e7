"""A folder that transformers saved, exported: its labels are those of transformers' own post-processing.

In an environment of its own, with transformers; the network has random weights.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from fcn_edge_runtime import Segmenter
from tests.bare.environment import ROOT, kept

pytestmark = pytest.mark.slow
PINS = ROOT / "benchmarks" / "networks" / "environment" / "networks.constraints.txt"
SAVED = """
import sys
import numpy as np
import torch
import transformers as hf

torch.manual_seed(0)
config = hf.SegformerConfig(
    num_labels=4,
    id2label=dict(enumerate(("wall", "floor", "door", "lamp"))),
    hidden_sizes=[8, 16, 24, 32],
    decoder_hidden_size=32,
    depths=[1, 1, 1, 1],
    num_attention_heads=[1, 1, 2, 2],
)
net = hf.SegformerForSemanticSegmentation(config).eval()
for layer in net.modules():
    if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
        torch.nn.init.kaiming_normal_(layer.weight)
net.save_pretrained("saved")
processor = hf.SegformerImageProcessor(do_resize=False, do_reduce_labels=True)
processor.save_pretrained("saved")
for name in sys.argv[1:]:
    image = np.load(f"{name}.npy")
    mask = (image[..., 0] % 5).astype(np.uint8)
    given = processor(images=image, segmentation_maps=mask.copy(), return_tensors="pt")
    with torch.no_grad():
        found = net(pixel_values=given["pixel_values"])
    labels = processor.post_process_semantic_segmentation(found, target_sizes=[image.shape[:2]])[0]
    np.savez(f"{name}.npz", labels=labels.numpy(), mask=mask, ids=given["labels"][0].numpy())
"""
MASKS = """
import sys
import numpy as np
import torch
import transformers as hf

torch.manual_seed(0)
backbone = hf.SwinConfig(
    image_size=64,
    embed_dim=8,
    depths=[1, 1, 1, 1],
    num_heads=[1, 2, 2, 2],
    out_features=["stage1", "stage2", "stage3", "stage4"],
)
decoder = hf.DetrConfig(
    d_model=32, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=32, decoder_ffn_dim=32, num_queries=10
)
config = hf.MaskFormerConfig(
    backbone_config=backbone, decoder_config=decoder, fpn_feature_size=32, mask_feature_size=32, num_labels=4
)
net = hf.MaskFormerForInstanceSegmentation(config).eval()
for layer in net.modules():
    if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
        torch.nn.init.kaiming_normal_(layer.weight)
with torch.no_grad():  # queries that differ
    net.model.transformer_module.queries_embedder.weight.normal_(std=4)
    net.class_predictor.weight *= 4
    net.class_predictor.bias -= net(torch.randn(1, 3, 96, 128)).class_queries_logits.mean((0, 1))
net.save_pretrained("masks")
processor = hf.MaskFormerImageProcessor(do_resize=False)
processor.save_pretrained("masks")
for name in sys.argv[1:]:
    image = np.load(f"{name}.npy")
    with torch.no_grad():
        found = net(pixel_values=processor(images=image, return_tensors="pt")["pixel_values"])
    labels = processor.post_process_semantic_segmentation(found, target_sizes=[image.shape[:2]])[0]
    np.save(f"{name}.masks.npy", labels.numpy())
"""
IMAGES = {"odd": (97, 131), "camera": (240, 320)}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with images, what transformers makes of them, and the exported file."""
    folder = tmp_path_factory.mktemp("huggingface")
    for name, (height, width) in IMAGES.items():
        blocks = np.random.default_rng(0).integers(0, 256, (-(-height // 8), -(-width // 8), 3), np.uint8)
        np.save(folder / f"{name}.npy", blocks.repeat(8, 0).repeat(8, 1)[:height, :width])
    run(folder, "python", "-c", SAVED, *IMAGES)
    run(folder, "fcn-edge", "export", "hf:saved", "-o", "net.onnx")
    return folder


def run(folder, program, *words):
    """In the environment that has transformers."""
    done = kept("export,cpu,images,hf", PINS).run(*words, cwd=folder, program=program)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", IMAGES)
def test_labels_are_those_of_the_post_processing(work, name):
    expected = np.load(work / f"{name}.npz")["labels"]
    with Segmenter(work / "net.onnx") as segmenter:
        labels = segmenter(np.load(work / f"{name}.npy")).labels
    assert len(np.unique(expected)) > 1
    assert (labels == expected).mean() > 0.9999  # a tie may be decided by the last digit


def test_labels_of_masks_are_those_of_the_post_processing(work):
    run(work, "python", "-c", MASKS, *IMAGES)
    run(work, "fcn-edge", "export", "hf:masks", "-o", "masks.onnx")
    expected = {name: np.load(work / f"{name}.masks.npy") for name in IMAGES}
    assert len(np.unique(expected["camera"])) > 1
    with Segmenter(work / "masks.onnx") as segmenter:
        for name, labels in expected.items():
            assert (segmenter(np.load(work / f"{name}.npy")).labels == labels).mean() > 0.9999


def test_its_class_names_are_on_the_card(work):
    with Segmenter(work / "net.onnx") as segmenter:
        assert [c.name for c in segmenter.card.classes] == ["wall", "floor", "door", "lamp"]


def test_reduced_labels_are_shifted_as_the_card_states(work):
    with Segmenter(work / "net.onnx") as segmenter:
        assert "class i is i + 1 in the masks" in segmenter.card.description
    found = np.load(work / "odd.npz")
    assert np.array_equal(found["ids"], np.where(found["mask"] == 0, 255, found["mask"].astype(int) - 1))


def test_its_processor_and_the_card_normalize_alike(work):
    given = json.loads((work / "saved" / "preprocessor_config.json").read_text())
    with Segmenter(work / "net.onnx") as segmenter:
        spec = segmenter.card.input
    assert spec.scale == pytest.approx(given["rescale_factor"])
    assert spec.mean == pytest.approx(given["image_mean"])
    assert spec.std == pytest.approx(given["image_std"])
