from __future__ import annotations

import gzip
import struct

import nibabel
import numpy as np
import pytest

from fcn_edge_runtime import InputError
from fcn_edge_runtime.medical.nifti import labels_nifti, read_nifti
from fcn_edge_runtime.medical.volume import slices_of
from tests.measured import assert_refused
from tests.runtime.medical.conftest import AFFINE

MOST = 1_000_000


def test_values_and_place_are_those_that_nibabel_reads(scan, nifti):
    volume = read_nifti(nifti(scan, slope=(2.0, -5.0)), MOST)
    theirs = nibabel.load(nifti(scan, "same.nii", slope=(2.0, -5.0)))
    assert np.array_equal(volume.values(volume.stored), theirs.get_fdata(dtype=np.float32))
    assert np.allclose(volume.affine, AFFINE)
    assert volume.spacing == (1.0, 1.5, 2.0)
    assert volume.milliliters == pytest.approx(0.003)


@pytest.mark.parametrize("dtype", ["int16", ">u2", "float32", "float64", "int32"])
def test_every_kind_of_number_is_read(scan, nifti, dtype):
    volume = read_nifti(nifti(scan.astype(dtype), "a.nii"), MOST)
    assert np.array_equal(volume.values(volume.stored), scan.astype(np.float32))


def test_slices_are_as_radiologists_see_them(scan, nifti):
    volume = read_nifti(nifti(scan), MOST)
    place = np.stack(np.meshgrid(*map(np.arange, scan.shape), [1], indexing="ij")).reshape(4, -1)
    x, y, z = (AFFINE @ place)[:3].reshape(3, *scan.shape)
    falls_along = {"axial": (None, y, x), "coronal": (None, z, x), "sagittal": (None, z, y)}
    rises_along = {"axial": z, "coronal": y, "sagittal": x}
    for axis, (_, rows, columns) in falls_along.items():
        assert (np.diff(slices_of(rows, volume.affine, axis), axis=1) < 0).all()
        assert (np.diff(slices_of(columns, volume.affine, axis), axis=2) < 0).all()
        assert (np.diff(slices_of(rises_along[axis], volume.affine, axis), axis=0) > 0).all()
    assert volume.spacing_of("axial") == (2.0, 1.5, 1.0)
    assert volume.spacing_of("sagittal") == (1.0, 2.0, 1.5)


def test_labels_have_the_place_of_the_volume(scan, nifti, tmp_path):
    volume = read_nifti(nifti(scan.astype(np.int16), slope=(0.5, 3)), MOST)
    (tmp_path / "labels.nii.gz").write_bytes(labels_nifti(scan // 100, volume, "labels"))
    image = nibabel.load(tmp_path / "labels.nii.gz")
    assert np.array_equal(np.asarray(image.dataobj), scan // 100)
    assert np.array_equal(image.affine, nibabel.load(volume.name).affine)
    assert image.get_data_dtype() == np.uint8


def refusal(path):
    with pytest.raises(InputError) as caught:
        read_nifti(path, MOST)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.security(
    "a NIfTI file that is damaged, 4-D, complex, or not where it should be", "refused in one line"
)
def test_bad_nifti_files_are_refused_in_one_line(scan, nifti, tmp_path):
    whole = nifti(scan, "whole.nii").read_bytes()

    def file(data, name="bad.nii"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    assert "is cut short" in refusal(file(whole[:-100]))
    assert "is not a NIfTI file" in refusal(file(b"no volume"))
    assert "is not a NIfTI file" in refusal(file(b""))
    assert "cannot be read" in refusal(file(gzip.compress(whole)[:-200], "bad.nii.gz"))
    assert "a series of 2 volumes: split it" in refusal(nifti(np.stack([scan, scan], axis=-1), "4d.nii"))
    assert "complex64" in refusal(nifti(scan.astype(np.complex64), "complex.nii"))
    assert "NaN" in refusal(nifti(np.where(scan > 9, scan, np.nan), "nan.nii"))
    assert "pair of .hdr and .img" in refusal(file(whole[:344] + b"ni1\0" + whole[348:]))
    assert "affine is singular" in refusal(file(whole[:312] + bytes(16) + whole[328:]))
    assert "expected a NIfTI file" in refusal(tmp_path)
    assert "cannot be opened" in refusal(tmp_path / "missing.nii")


def header(shape, offset=352.0, kind=2, bits=8):
    data = bytearray(352)
    struct.pack_into("<i", data, 0, 348)
    struct.pack_into("<8h", data, 40, 3, *shape, 1, 1, 1, 1)
    struct.pack_into("<2h", data, 70, kind, bits)
    struct.pack_into("<8f", data, 76, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<f", data, 108, offset)
    data[344:348] = b"n+1\0"
    return bytes(data)


@pytest.mark.security(
    "a NIfTI header that declares gigabytes; gzip that holds them", "refused, memory and time measured"
)
def test_declared_and_packed_sizes_cost_nothing(scan, nifti, tmp_path):
    bomb = gzip.compress(bytes(400 << 20), compresslevel=1)
    files = {
        "declared.nii": header((32000, 32000, 32000)),
        "declared_doubles.nii": header((500, 500, 400), kind=64, bits=64),
        "negative.nii": header((-5, 20, 20)),
        "long.nii.gz": gzip.compress(header((1, 1, 30000)) + bytes(30000)),
        "far.nii.gz": gzip.compress(header((10, 10, 10), offset=2e9)) + bomb,
        "short.nii.gz": gzip.compress(header((460, 460, 460))),
        "bomb.nii.gz": bomb,
        "extensions.nii.gz": gzip.compress(
            header((10, 10, 10), 1e6)[:348] + b"\1\0\0\0" + b"\xf0\xff\xff\x7f\0\0\0\0"
        ),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    good = nifti(scan, "good.nii.gz")
    messages = assert_refused("nifti", [tmp_path / name for name in files], good, "InputError")
    assert "along one axis, expected at most" in messages["declared.nii"]
    assert "along one axis, expected at most" in messages["long.nii.gz"]
    assert "voxels of 8 bytes, expected at most" in messages["declared_doubles.nii"]
