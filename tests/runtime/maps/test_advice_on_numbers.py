"""A raster of other numbers is refused, with a conversion that gives the labels of its own numbers."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.maps.raster import Raster
from fcn_edge_runtime.model.card import InputSpec
from tests.runtime.maps.rasters import write_raster


def advice(folder, stored, wanted, **scale):
    spec = InputSpec.default(3, dtype=wanted)
    write_raster(folder / "a.tif", spec, 8, 8, bands=np.zeros((3, 8, 8), stored))
    if scale:
        with rasterio.open(folder / "a.tif", "r+") as file:
            file.scales = (scale["scale"],) * 3
    with pytest.raises(InputError) as caught, Raster.open(folder / "a.tif", spec):
        pass
    return str(caught.value)


@pytest.mark.parametrize(
    ("stored", "wanted", "kind"),
    [("float64", "float32", "Float32"), ("int32", "float32", "Float32"), ("uint8", "uint16", "UInt16")],
)
def test_numbers_that_fit_are_converted_without_a_scale(tmp_path, stored, wanted, kind):
    text = advice(tmp_path, stored, wanted)
    assert f"gdal_translate -ot {kind}, which keeps the numbers" in text
    assert "-scale" not in text


@pytest.mark.parametrize(
    ("stored", "wanted", "most"),
    [("uint16", "uint8", 255), ("float32", "uint8", 255), ("int16", "uint16", 65535)],
)
def test_numbers_that_do_not_fit_need_the_trained_range(tmp_path, stored, wanted, most):
    assert f"-scale LOW HIGH 0 {most}, where LOW and HIGH became 0 and {most}" in advice(
        tmp_path, stored, wanted
    )


def test_complex_numbers_get_no_command(tmp_path):
    assert "gdal_translate" not in advice(tmp_path, "complex64", "float32")


@pytest.mark.parametrize(("wanted", "named"), [("uint16", False), ("float32", True)])
def test_a_scale_is_applied_where_it_is_not_rounded(tmp_path, wanted, named):
    text = advice(tmp_path, "uint16", wanted, scale=0.0001)
    assert ("gdal_translate -unscale -ot Float32" in text) == named
    assert "--stored-values" in text
