"""The portrait models: shipped weights, their exported file, and the people that it finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage
import torch
from PIL import Image
from safetensors import safe_open

from fcn_edge.nets import build_with_weights
from fcn_edge.nets.zoo.portrait import _Same
from fcn_edge.recipes import find_recipe
from fcn_edge_runtime import Segmenter

RECIPES = {"portrait": (256, 256), "portrait-landscape": (144, 256)}
ASTRONAUT = Path(skimage.data_dir, "astronaut.png")


def probability(name, picture):
    recipe = find_recipe(name)
    net = build_with_weights(recipe.net, recipe.weights, options=recipe.options).eval()
    height, width = RECIPES[name]
    pixels = np.array(Image.fromarray(picture).resize((width, height)))
    with torch.inference_mode():
        return net(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255).sigmoid()[0, 0].numpy()


@pytest.mark.parametrize("name", RECIPES)
def test_the_astronaut_is_a_person_and_the_flag_is_not(name):
    found = probability(name, np.asarray(Image.open(ASTRONAUT)))
    height, width = found.shape
    assert found[height // 4, 7 * width // 16] > 0.99  # the face
    assert found[3 * height // 4, width // 3] > 0.99  # the suit
    assert found[height // 8, width // 20] < 0.01  # the flag
    assert found[height // 2, 9 * width // 10] < 0.01  # the dark table


@pytest.mark.parametrize("name", RECIPES)
def test_weights_are_the_float16_values_of_the_source(name):
    with safe_open(find_recipe(name).weights, "np") as file:
        tensors = [file.get_tensor(key) for key in file.keys()]  # noqa: SIM118 - not a dict
    assert {tensor.dtype for tensor in tensors} == {np.dtype(np.float16)}
    assert sum(tensor.size for tensor in tensors) == 106_401


@pytest.mark.parametrize(("kernel", "padding"), [(3, (0, 1, 0, 1)), (5, (1, 2, 1, 2))])
def test_padding_at_stride_2_is_that_of_tensorflow(kernel, padding):
    layer = _Same(4, 4, kernel, stride=2)
    image = torch.rand(1, 4, 12, 18)
    expected = torch.nn.functional.conv2d(
        torch.nn.functional.pad(image, padding), layer.weight, layer.bias, stride=2
    )
    assert torch.allclose(layer(image), expected)


@pytest.mark.slow
def test_the_exported_recipe_labels_as_the_network_does(tmp_path):
    words = ("-m", "fcn_edge", "export", "portrait", "-o", tmp_path / "p.onnx", "-q")
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    picture = np.asarray(Image.open(ASTRONAUT).resize((256, 256)))
    with Segmenter(tmp_path / "p.onnx") as segmenter:
        result = segmenter(picture)
        assert segmenter.outputs == ("labels", "confidence")
    assert [c.name for c in result.card.classes] == ["background", "person"]
    expected = probability("portrait", picture)
    assert np.array_equal(result.labels, expected > 0.5)
    assert np.abs(result.confidence - np.maximum(expected, 1 - expected)).max() < 1e-4
