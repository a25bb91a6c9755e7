"""PNG files of our own writing."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from fcn_edge_runtime.imaging.png import picture_png


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (40, 33)])
def test_a_picture_written_as_png_is_the_same(size, channels):
    picture = np.random.default_rng(0).integers(0, 256, (*size, channels), np.uint8)
    with Image.open(io.BytesIO(picture_png(picture))) as image:
        assert image.mode == {3: "RGB", 4: "RGBA"}[channels]
        assert (np.asarray(image) == picture).all()


def test_a_png_of_a_part_of_an_array_is_that_part():
    whole = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    with Image.open(io.BytesIO(picture_png(whole[3:9, 2:11]))) as image:
        assert (np.asarray(image) == whole[3:9, 2:11]).all()
