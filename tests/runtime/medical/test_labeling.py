from __future__ import annotations

import numpy as np
import pytest

from fcn_edge_runtime import InputError, Segmenter, UsageError
from fcn_edge_runtime.medical.labeling import VolumeOptions, dice_of, label_volume, read_truth
from fcn_edge_runtime.medical.nifti import read_nifti
from tests.runtime.make_models import make_card
from tests.runtime.medical.conftest import AFFINE

MOST = 1_000_000


@pytest.fixture
def volume(scan, nifti):
    return read_nifti(nifti(scan), MOST)


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_each_slice_is_labeled_as_it_is_alone(volume, model_path, axis):
    with Segmenter(model_path("gray")) as segmenter:
        done = label_volume(segmenter, volume, VolumeOptions(axis), sheet=True)
        # The axes run to the left, anterior and inferior: rows downward, columns to the left.
        where = {
            "axial": (lambda a: a[:, ::-1, 4].T),
            "coronal": (lambda a: a[:, 4, :].T),
            "sagittal": (lambda a: a[4, ::-1, :].T),
        }[axis]
        alone = segmenter(np.ascontiguousarray(where(volume.stored))).labels
    assert np.array_equal(where(done.labels), alone)
    assert done.sheet.ndim == 3


def test_truth_in_another_place_or_shape_is_refused(volume, scan, nifti):
    card = make_card(channels=1)
    moved = AFFINE.copy()
    moved[0, 3] += 1
    with pytest.raises(InputError, match="lies up to 1 mm from"):
        read_truth(nifti(scan // 90, "moved.nii", affine=moved), volume, card, MOST)
    with pytest.raises(InputError, match="expected equal shapes"):
        read_truth(nifti(scan[:-1] // 90, "short.nii"), volume, card, MOST)


def test_truth_of_values_that_are_not_classes_is_refused(volume, scan, nifti):
    with pytest.raises(InputError, match="the model has classes 0 to 2"):
        read_truth(nifti(scan, "values.nii"), volume, make_card(channels=1), MOST)
    mask = np.where(scan > 99, 255, 0).astype(np.uint8)
    with pytest.raises(InputError, match="--foreground 255"):
        read_truth(nifti(mask, "mask.nii"), volume, make_card(classes=2, channels=1), MOST)


def test_binary_truth_is_read_with_its_foreground(volume, scan, nifti):
    card = make_card(classes=2, channels=1)
    mask = np.where(scan > 99, 255, 0).astype(np.uint8)
    truth = read_truth(nifti(mask, "mask.nii"), volume, card, MOST, foreground=255)
    assert np.array_equal(truth, scan > 99)
    with pytest.raises(InputError, match="expected 0 and the foreground, 200"):
        read_truth(nifti(mask, "mask.nii"), volume, card, MOST, foreground=200)


def test_dice_leaves_out_unlabeled_voxels():
    card = make_card(classes=3, channels=1)
    truth = np.array([[[0, 1, 1, 255]]], np.uint8)
    labels = np.array([[[0, 1, 0, 1]]], np.uint8)
    assert dice_of(labels, truth, card) == (2 / 3, 2 / 3, None)


def test_an_unknown_axis_is_wrong_usage():
    with pytest.raises(UsageError, match="axial, coronal, sagittal"):
        VolumeOptions("oblique")
