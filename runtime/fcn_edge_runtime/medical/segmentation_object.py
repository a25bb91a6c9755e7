"""Labels of a DICOM series as a DICOM Segmentation object, written by highdicom."""

from __future__ import annotations

import copy
import io
import warnings
from typing import Any

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime._text import printable
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.medical.volume import Volume
from fcn_edge_runtime.model.card import Card, ClassInfo

__all__ = ["segmentation_object"]

_LONGEST = 64  # characters of DICOM's long strings
_BLACK = (0, 0, 0)
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip


def segmentation_object(labels: np.ndarray, volume: Volume, card: Card, digest: str) -> bytes:
    """A DICOM SEG of the labels (columns, rows, slices), one binary segment for each class.

    Classes whose color is black are background, and no segment. Segments are numbered from 1 in the order of
    the classes, and carry their names and their codes, or that of any anatomical structure; patient and study
    are those of the series.

    Args:
        labels: class ids.
        volume: the series, as `read_series` gives it.
        card: of the model, with the classes.
        digest: of the model's file.

    Raises:
        InputError: highdicom is not installed, or refuses the series, which lacks something that the standard
            demands.
    """
    highdicom = require("highdicom", "writing DICOM")
    classes = [entry for entry in card.classes if entry.color != _BLACK]
    numbers = np.zeros(card.unlabeled + 1, np.uint8 if len(classes) < 256 else np.uint16)
    for number, entry in enumerate(classes, 1):
        numbers[entry.id] = number
    order = list(volume.header.slices)
    frames = np.ascontiguousarray(numbers[labels].transpose(2, 1, 0)[order])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values in the series that break the standard
            made = highdicom.seg.Segmentation(
                source_images=[_whole(head) for head in volume.header.datasets],
                pixel_array=frames,
                segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
                segment_descriptions=[
                    _description(highdicom, number, entry, card) for number, entry in enumerate(classes, 1)
                ],
                series_instance_uid=highdicom.UID(),
                series_number=1000,
                sop_instance_uid=highdicom.UID(),
                instance_number=1,
                manufacturer="fcn-edge",
                manufacturer_model_name=_short(card.name),
                software_versions=_short(card.produced_by.get("fcn-edge", "unknown")),
                device_serial_number=digest[:_LONGEST],
                series_description=_short(f"{card.name}: labels by fcn-edge"),
                omit_empty_frames=bool(frames.any()),
            )
            stream = io.BytesIO()
            made.save_as(stream)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"{volume.name} cannot have a DICOM SEG ({' '.join(str(error).split())[:160]}): save its labels "
            "as NIfTI with --save nifti"
        ) from None
    return stream.getvalue()


def _whole(head: Any) -> Any:
    """The dataset with what may be empty but not missing, as where a patient's data was removed."""
    missing = [key for key in _MAY_BE_EMPTY if key not in head]
    if missing:
        head = copy.copy(head)
        for key in missing:
            setattr(head, key, "")
    return head


def _description(highdicom: Any, number: int, entry: ClassInfo, card: Card) -> Any:
    codes = require("pydicom.sr.codedict", "writing DICOM").codes
    code = entry.code
    kind = codes.SCT.AnatomicalStructure
    if code is not None:
        kind = highdicom.sr.CodedConcept(code.value, code.scheme, code.meaning)
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=_short(entry.name),
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=kind,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=_short(card.name),
            version=_short(card.produced_by.get("fcn-edge", "unknown")),
            family=codes.cid7162.ArtificialIntelligence,
        ),
    )


def _short(text: str) -> str:
    return printable(text, _LONGEST)[:_LONGEST]
