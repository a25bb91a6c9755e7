from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fcn_edge_runtime import InputError, UsageError
from fcn_edge_runtime.medical.intensity import window_of
from fcn_edge_runtime.medical.nifti import read_nifti
from fcn_edge_runtime.model.card import InputSpec

GRAY = InputSpec.unit(1)


@pytest.fixture
def volume(scan, nifti):
    return read_nifti(nifti(scan.astype(np.int16) * 10 - 1000, "ct.nii"), 1_000_000)


def test_a_window_becomes_the_whole_range_of_pixels(volume):
    values = np.float32([[-200, -160, 40, 240, 900]])
    spec = dataclasses.replace(GRAY, window=(-160.0, 240.0))
    assert window_of(volume, spec).pixels(values, "a").ravel().tolist() == [0, 0, 128, 255, 255]
    deep = dataclasses.replace(InputSpec.unit(1, "uint16"), window=(-160.0, 240.0))
    assert window_of(volume, deep).pixels(values, "a").ravel().tolist() == [0, 0, 32768, 65535, 65535]
    floats = InputSpec.unit(1, "float32")
    assert window_of(volume, floats, (-160.0, 240.0)).pixels(values, "a").ravel().tolist() == [
        0,
        0,
        0.5,
        1,
        1,
    ]


def test_percentiles_leave_out_the_lowest_value(volume):
    values = volume.values(volume.stored)
    low, high = np.percentile(values[values > values.min()], (10, 90))
    found = window_of(volume, dataclasses.replace(GRAY, percentiles=(10.0, 90.0)))
    assert found.limits == pytest.approx((low, high))


def test_models_of_three_channels_get_gray_three_times(volume):
    pixels = window_of(volume, InputSpec.unit(3), (0.0, 255.0)).pixels(np.float32([[7, 8]]), "a")
    assert pixels.tolist() == [[[7, 7, 7], [8, 8, 8]]]


def test_values_outside_the_pixel_range_need_a_window(volume):
    window = window_of(volume, GRAY)
    with pytest.raises(InputError, match="give --window LOW,HIGH or --percentiles"):
        window.pixels(volume.values(volume.stored[..., 0]), "ct.nii")
    assert window.pixels(np.float32([[0, 255]]), "a").ravel().tolist() == [0, 255]


def test_invalid_windows_are_refused(volume, nifti, scan):
    with pytest.raises(UsageError, match="give one"):
        window_of(volume, GRAY, (0.0, 1.0), (1.0, 99.0))
    with pytest.raises(UsageError, match="0 to 100"):
        window_of(volume, GRAY, None, (-1.0, 50.0))
    with pytest.raises(InputError, match="images of 4 channels"):
        window_of(volume, InputSpec.unit(4), (0.0, 1.0))
    flat = read_nifti(nifti(np.zeros_like(scan), "flat.nii"), 1_000_000)
    with pytest.raises(InputError, match="hardly two different values"):
        window_of(flat, GRAY, None, (1.0, 99.0))
