from __future__ import annotations

import io
import shutil
import zlib

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, generate_uid

from fcn_edge_runtime import InputError
from fcn_edge_runtime.medical.segmentation_object import segmentation_object
from fcn_edge_runtime.medical.series import is_series, read_series
from fcn_edge_runtime.medical.volume import slices_of
from tests.measured import assert_refused
from tests.runtime.make_models import make_card

MOST = 1_000_000


def test_slices_are_ordered_by_their_place(scan, series):
    volume = read_series(series(scan), MOST)  # whose file names run the other way
    assert np.array_equal(volume.values(volume.stored), scan.astype(np.float32))
    assert volume.spacing == (1.0, 1.5, 2.0)
    # DICOM's x and y run to the left and posterior, the affine's to the right and anterior.
    assert np.allclose(volume.affine @ [0, 0, 0, 1], [40, 30, 0, 1])
    assert np.array_equal(slices_of(volume.stored, volume.affine, "axial")[2], volume.stored[:, :, 2].T)


def test_each_slice_may_have_its_own_rescaling(scan, series):
    def change(number, data):
        data.RescaleSlope = 1 + number

    volume = read_series(series(scan, change=change), MOST)
    expected = (scan.astype(np.float32) + 1024) * (1 + np.arange(6)) - 1024
    assert np.array_equal(volume.values(volume.stored), expected)


def test_a_segmentation_object_holds_the_labels(scan, series, tmp_path):
    volume = read_series(series(scan), MOST)
    labels = (scan // 90).astype(np.uint8)  # 0, 1 and 2
    (tmp_path / "a.seg.dcm").write_bytes(segmentation_object(labels, volume, make_card(channels=1), "0" * 64))
    import highdicom

    read = highdicom.seg.segread(tmp_path / "a.seg.dcm")
    assert [segment.SegmentLabel for segment in read.SegmentSequence] == ["class 1", "class 2"]
    assert read.PatientID == "p1"
    header = volume.header
    sources = [header.datasets[place].SOPInstanceUID for place in np.argsort(header.slices)]
    frames = read.get_pixels_by_source_instance(sources, combine_segments=True, ignore_spatial_locations=True)
    assert np.array_equal(frames.transpose(2, 1, 0), labels)


def test_a_folder_of_photos_is_not_a_series(tmp_path, scan, series):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    assert not is_series(tmp_path)
    assert not is_series(tmp_path / "a.png")
    assert is_series(series(scan))


def refusal(folder):
    with pytest.raises(InputError) as caught:
        read_series(folder, MOST)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def leave_out(number, _):
    return number not in (2, 3)


def move(number, data):
    data.ImagePositionPatient = [-40.0, -30.0, 2.0 * number + 0.4 * (number == 3)]


def repeat(number, data):
    data.ImagePositionPatient = [-40.0, -30.0, 2.0 * min(number, 4)]


def respace(number, data):
    data.PixelSpacing = [1.5, 1.0 + 0.1 * (number == 1)]


def two_series(number, data):
    if number > 3:
        data.SeriesInstanceUID = generate_uid()


def color(_, data):
    data.PhotometricInterpretation = "RGB"


def many_frames(_, data):
    data.NumberOfFrames = 7


def no_place(_, data):
    del data.ImagePositionPatient


def no_numbers(_, data):
    data.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]


@pytest.mark.security(
    "a DICOM series that misses slices, or mixes spacing, sizes or series",
    "refused in one line",
)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (leave_out, "missing slices (2): 6 mm between"),
        (move, "uneven slices: "),
        (repeat, "two slices are at one place"),
        (respace, "mixed spacing"),
        (two_series, "holds 3 series"),
        (color, "expected MONOCHROME2"),
        (many_frames, "has 7 frames"),
        (no_place, "has no ImagePositionPatient"),
        (no_numbers, "not possible"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_series_that_is_not_whole_is_refused(scan, series, change, message):
    assert message in refusal(series(scan, change=change))


def test_a_folder_without_dicom_is_refused(tmp_path):
    assert "holds no DICOM files" in refusal(tmp_path)


@pytest.mark.security(
    "DICOM that declares or packs gigabytes, or is cut short", "refused, memory and time measured"
)
def test_declared_sizes_of_dicom_cost_nothing(scan, series, tmp_path):
    def huge(_, data):
        data.Rows = data.Columns = 65535

    good = series(scan, "good")
    folders = [series(scan, "huge", change=huge)]
    for name, damage in {
        "cut": lambda data: data[:-300],
        "noise": lambda data: data[:140] + bytes(255 - b for b in data[140:]),
        "deflated": deflated,
    }.items():
        folder = tmp_path / name
        shutil.copytree(good, folder)
        file = folder / "003.dcm"
        file.write_bytes(damage(file.read_bytes()))
        folders.append(folder)
    messages = assert_refused("series", folders, good, "InputError")
    assert "is compressed (Deflated" in messages["deflated"]


def deflated(data):
    """The same file with a gigabyte of zeros behind its header, in a deflated transfer syntax."""
    dataset = pydicom.dcmread(pydicom.filebase.DicomBytesIO(data))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    stream = pydicom.filebase.DicomBytesIO()
    pydicom.dcmwrite(stream, dataset)
    packer = zlib.compressobj(1, wbits=-15)
    return stream.getvalue() + packer.compress(bytes(1 << 28)) + packer.flush()


@pytest.mark.parametrize("slope", ["nan", "inf", "1e999", "x"])
def test_a_slope_that_is_no_number_is_refused(series, scan, slope):
    def change(_, data):
        data.add_new("RescaleSlope", "LO", slope)

    with pytest.raises(InputError, match="has a damaged RescaleSlope: expected a number"):
        read_series(series(scan, change=change), 10**7)


def test_a_series_without_the_patient_has_a_segmentation_too(series, scan):
    def change(_, data):
        for key in ("PatientID", "PatientName", "StudyDate", "AccessionNumber"):
            del data[key]

    volume = read_series(series(scan, change=change), 10**7)
    labels = np.ones(scan.shape, np.uint8)
    made = pydicom.dcmread(io.BytesIO(segmentation_object(labels, volume, make_card(channels=1), "0" * 64)))
    assert (made.PatientID, made.Modality) == ("", "SEG")
