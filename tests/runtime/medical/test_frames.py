from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest

from fcn_edge_runtime import InputError
from fcn_edge_runtime.medical.segmentation_object import segmentation_object
from fcn_edge_runtime.medical.series import is_series, read_series
from tests.runtime.make_models import make_card

MOST = 1_000_000


@pytest.mark.parametrize("whole", [True, False], ids=["file", "folder"])
def test_frames_are_ordered_by_their_place(scan, series, enhanced, whole):
    path = enhanced(scan)
    volume = read_series(path if whole else path.parent, MOST)
    slices = read_series(series(scan), MOST)
    assert is_series(path)
    assert np.array_equal(volume.values(volume.stored), slices.values(slices.stored))
    assert np.array_equal(volume.affine, slices.affine)


def test_each_frame_may_have_its_own_rescaling(scan, enhanced):
    def change(data):
        for number, frame in enumerate(data.PerFrameFunctionalGroupsSequence):
            own = pydicom.Dataset()
            own.RescaleSlope, own.RescaleIntercept = 2 + number, 0
            frame.PixelValueTransformationSequence = [own]

    volume = read_series(enhanced(scan, change=change), MOST)
    # The file holds slices 5, 3, 1, 4, 2, 0.
    assert volume.stored[3, 4, [5, 3, 1]].tolist() == [
        (2 + frame) * (1024.0 + int(scan[3, 4, place])) for frame, place in enumerate([5, 3, 1])
    ]


def test_the_segmentation_of_an_enhanced_file_is_in_place(scan, enhanced, tmp_path):
    import highdicom

    volume = read_series(enhanced(scan), MOST)
    labels = (scan // 90).astype(np.uint8)
    (tmp_path / "a.seg.dcm").write_bytes(segmentation_object(labels, volume, make_card(channels=1), "0" * 64))
    read = highdicom.seg.segread(tmp_path / "a.seg.dcm")
    geometry = read.get_volume(combine_segments=True)
    # Volumes of highdicom are (slices, rows, columns), and may run the other way along the slices.
    array = geometry.array.transpose(2, 1, 0)
    ordered = array if geometry.affine[2, 0] > 0 else array[:, :, ::-1]
    assert np.array_equal(ordered, labels)


def a_position_is_missing(data):
    del data.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence


def a_position_is_text(data):
    data.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence[0].add_new(
        "ImagePositionPatient", "LO", "x"
    )


def a_frame_is_repeated(data):
    groups = data.PerFrameFunctionalGroupsSequence
    groups[2].PlanePositionSequence = groups[1].PlanePositionSequence


def a_frame_is_turned(data):
    own = pydicom.Dataset()
    own.ImageOrientationPatient = [0, 1, 0, 0, 0, 1]
    data.PerFrameFunctionalGroupsSequence[4].PlaneOrientationSequence = [own]


def groups_are_too_few(data):
    data.PerFrameFunctionalGroupsSequence = data.PerFrameFunctionalGroupsSequence[:5]


def groups_are_missing(data):
    del data.PerFrameFunctionalGroupsSequence


def frames_are_too_many(data):
    data.NumberOfFrames = 100_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (a_position_is_missing, "has no ImagePositionPatient"),
        (a_position_is_text, "has a damaged ImagePositionPatient"),
        (a_frame_is_repeated, "two slices are at one place"),
        (a_frame_is_turned, "mixed spacing or orientation"),
        (groups_are_too_few, "has 6 frames and functional groups of 5"),
        (groups_are_missing, "does not say where each is"),
        (frames_are_too_many, "declares 100000 frames"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_frames_that_are_not_a_volume_are_refused(scan, enhanced, change, message):
    with pytest.raises(InputError) as caught:
        read_series(enhanced(scan, change=change), MOST)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_segments_have_the_codes_of_their_classes(scan, series):
    from dataclasses import replace

    from fcn_edge_runtime.model.card import ClassCode

    card = make_card(channels=1)
    code = ClassCode("389081007", "SCT", "Gray Matter")
    card = replace(card, classes=(*card.classes[:1], replace(card.classes[1], code=code), *card.classes[2:]))
    made = segmentation_object(np.ones(scan.shape, np.uint8), read_series(series(scan), MOST), card, "0" * 64)
    segments = pydicom.dcmread(io.BytesIO(made)).SegmentSequence
    types = [segment.SegmentedPropertyTypeCodeSequence[0] for segment in segments]
    assert [(entry.CodeValue, entry.CodingSchemeDesignator, entry.CodeMeaning) for entry in types] == [
        ("389081007", "SCT", "Gray Matter"),
        ("91723000", "SCT", "Anatomical Structure"),
    ]
