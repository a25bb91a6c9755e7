from __future__ import annotations

import sys

import numpy as np
import pydicom
import pytest

from fcn_edge_runtime import InputError
from fcn_edge_runtime.medical.series import read_series

MOST = 1_000_000
SYNTAXES = ["RLELossless", "JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless"]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_compressed_series_has_the_same_voxels(scan, series, compressed, syntax):
    plain = series(scan)
    expected = read_series(plain, MOST)
    volume = read_series(compressed(plain, syntax), MOST)
    assert np.array_equal(volume.stored, expected.stored)
    assert np.array_equal(volume.affine, expected.affine)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_compressed_enhanced_file_has_the_same_voxels(scan, enhanced, compressed, syntax):
    plain = enhanced(scan)
    volume = read_series(compressed(plain.parent, syntax), MOST)
    assert np.array_equal(volume.values(volume.stored), scan)


@pytest.mark.parametrize("syntax", ["JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless"])
def test_without_a_decoder_the_extra_is_named(scan, series, compressed, syntax, monkeypatch):
    folder = compressed(series(scan), syntax)
    name = pydicom.dcmread(next(folder.iterdir())).file_meta.TransferSyntaxUID
    monkeypatch.setattr(pydicom.pixels.get_decoder(name), "_available", {})
    monkeypatch.setitem(sys.modules, "gdcm", None)
    with pytest.raises(InputError) as caught:
        read_series(folder, MOST)
    message = str(caught.value)
    assert f"is compressed ({name.name}), and reading it needs python-gdcm" in message
    assert message.endswith("which is not installed: `pip install 'fcn-edge[medical]'`")


def test_a_syntax_that_is_not_read_is_named(scan, series):
    def change(_, data):
        data.file_meta.TransferSyntaxUID = pydicom.uid.HTJ2KLossless
        data.PixelData = pydicom.encaps.encapsulate([data.PixelData])
        data["PixelData"].VR = "OB"

    with pytest.raises(InputError, match=r"is compressed \(High-Throughput JPEG 2000 .*gdcmconv --raw"):
        read_series(series(scan, change=change), MOST)


@pytest.mark.security(
    "a compressed slice whose codestream is larger than its dataset says, or damaged",
    "refused before a decoder sees it, or by what the decoder says",
)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_codestream_of_another_size_is_refused(scan, series, compressed, syntax):
    folder = compressed(series(scan), syntax)
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        data.Rows, data.Columns = 12, 41
        data.save_as(path)
    with pytest.raises(InputError, match=r"the dataset 12 rows and 41 columns|do not give 492 pixels"):
        read_series(folder, 10_000)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_damaged_codestream_gives_no_pixels(scan, series, compressed, syntax):
    folder = compressed(series(scan), syntax)
    path = sorted(folder.iterdir())[2]
    data = pydicom.dcmread(path)
    (frame,) = pydicom.encaps.generate_frames(data.PixelData, number_of_frames=1)
    data.PixelData = pydicom.encaps.encapsulate([frame[: len(frame) * 2 // 3] + frame[-2:]])
    data.save_as(path)
    with pytest.raises(InputError, match="cannot be read") as caught:
        read_series(folder, MOST)
    assert str(path) in str(caught.value)
