"""The brain model: shipped weights, and what they find on the slab that was held out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("nibabel")

from fcn_edge.card_file import description_from
from fcn_edge.nets import build_with_weights
from fcn_edge.recipes import find_recipe
from fcn_edge_runtime.medical.nifti import read_nifti
from fcn_edge_runtime.medical.volume import slices_of
from models.brain.data import FOLDER, GAP, HELD_OUT, INPUT, MOST, slices, training_slices


@pytest.fixture(scope="module")
def slab():
    t1, truth = (read_nifti(FOLDER / kind / "t1.nii.gz", MOST) for kind in ("images", "labels"))
    return t1, truth


def test_the_held_out_slab_is_labeled_as_the_readme_says(slab):
    t1, truth = slab
    recipe = find_recipe("brain")
    options = {**recipe.options, "in_channels": 1}
    net = build_with_weights(recipe.net, recipe.weights, options=options).eval()
    images, labels = (array[::6] for array in slices(t1, truth.stored))  # four slices of 24
    with torch.inference_mode():
        found = net(torch.from_numpy(images).permute(0, 3, 1, 2) / 255).argmax(1).numpy()
    for kind, least in ((1, 0.94), (2, 0.96)):
        both = (found == kind).sum() + (labels == kind).sum()
        assert 2 * ((found == kind) & (labels == kind)).sum() / both > least


def test_the_slab_lies_where_it_was_cut_from(slab):
    t1, truth = slab
    assert t1.stored.shape == truth.stored.shape == (197, 233, len(HELD_OUT))
    assert t1.affine[2, 3] == -72 + HELD_OUT.start
    assert np.array_equal(t1.affine, truth.affine)
    assert len(slices_of(t1.stored, t1.affine, "axial")) == len(HELD_OUT)


def test_training_keeps_away_from_the_held_out_slab():
    assert min(abs(i - j) for i in training_slices() for j in HELD_OUT) == GAP + 1


def test_the_recipe_normalizes_as_the_training_did():
    given = description_from(find_recipe("brain").card, "brain").input
    assert tuple(given["percentiles"]) == INPUT.percentiles
    assert (given["mean"], given["std"], given["channels"]) == (0.0, 1.0, 1)
