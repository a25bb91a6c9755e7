from __future__ import annotations

import numpy as np
import pytest

nibabel = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")

# Axes to the patient's left, anterior and inferior, of 1, 1.5 and 2 mm.
AFFINE = np.array([[-1.0, 0, 0, 40], [0, 1.5, 0, -30], [0, 0, -2.0, 25], [0, 0, 0, 1]])


@pytest.fixture
def scan():
    """Values of a volume (20, 24, 6): uint8, 0 to 255."""
    i, j, k = np.mgrid[:20, :24, :6]
    return ((7 * i + 5 * j * (1 + k % 2) + 30 * k) % 256).astype(np.uint8)


@pytest.fixture
def nifti(tmp_path):
    """Write a NIfTI file: a function from values to its path."""

    def write(values, name="scan.nii.gz", affine=AFFINE, slope=None):
        image = nibabel.Nifti1Image(values, affine)
        if slope is not None:
            image.header.set_slope_inter(*slope)
        nibabel.save(image, tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def series(tmp_path):
    """Write a DICOM series, one file for each slice: a function to its folder."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    def write(values, name="series", change=None):
        folder = tmp_path / name
        folder.mkdir()
        study, uid, frame = generate_uid(), generate_uid(), generate_uid()
        for number in range(values.shape[2]):
            data = pydicom.Dataset()
            data.file_meta = FileMetaDataset()
            data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = CTImageStorage
            data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
            data.StudyInstanceUID, data.SeriesInstanceUID = study, uid
            data.FrameOfReferenceUID = frame
            data.Modality, data.SeriesNumber, data.InstanceNumber = "CT", 1, number + 1
            data.PatientID, data.PatientName, data.StudyID = "p1", "Doe^Jane", "1"
            data.PatientBirthDate = data.PatientSex = data.AccessionNumber = data.ReferringPhysicianName = ""
            data.StudyDate, data.StudyTime = "20260101", "120000"
            data.Columns, data.Rows = values.shape[0], values.shape[1]
            data.PixelSpacing, data.SliceThickness = [1.5, 1.0], 2.0
            data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            data.ImagePositionPatient = [-40.0, -30.0, 2.0 * number]
            data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
            data.BitsAllocated = data.BitsStored = 16
            data.HighBit, data.PixelRepresentation = 15, 0
            data.RescaleSlope, data.RescaleIntercept = 1, -1024
            data.PixelData = (values[:, :, number].T.astype("<u2") + 1024).astype("<u2").tobytes()
            if change is not None and change(number, data) is False:
                continue
            data.save_as(folder / f"{values.shape[2] - number:03}.dcm", enforce_file_format=True)
        return folder

    return write


@pytest.fixture
def enhanced(series):
    """Write an enhanced DICOM file of many frames: a function to its path, the frames not in their order."""
    from pydicom.uid import EnhancedCTImageStorage

    def write(values, name="enhanced", change=None):
        folder = series(values, name)
        slices = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
        for path in folder.iterdir():
            path.unlink()
        data = slices[0]
        shared, own = pydicom.Dataset(), []
        shared.PlaneOrientationSequence = [_part(data, "ImageOrientationPatient")]
        shared.PixelMeasuresSequence = [_part(data, "PixelSpacing", "SliceThickness")]
        shared.PixelValueTransformationSequence = [_part(data, "RescaleSlope", "RescaleIntercept")]
        slices = slices[::2] + slices[1::2]
        for entry in slices:
            frame = pydicom.Dataset()
            frame.PlanePositionSequence = [_part(entry, "ImagePositionPatient")]
            own.append(frame)
        data.PixelData = b"".join(entry.PixelData for entry in slices)
        for key in (*_OF_SLICES, "ImagePositionPatient"):
            del data[key]
        data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = [shared], own
        data.NumberOfFrames = len(own)
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
        if change is not None:
            change(data)
        data.save_as(folder / "all.dcm", enforce_file_format=True)
        return folder / "all.dcm"

    return write


_OF_SLICES = ("ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleSlope", "RescaleIntercept")


def _part(data, *keys):
    part = pydicom.Dataset()
    for key in keys:
        part[key] = data[key]
    return part


@pytest.fixture
def compressed(tmp_path):
    """Compress a folder of DICOM by GDCM: a function to the new folder."""
    gdcm = pytest.importorskip("gdcm")

    def write(folder, syntax):
        out = tmp_path / f"{folder.name}-{syntax}"
        out.mkdir()
        for path in folder.iterdir():
            reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
            reader.SetFileName(str(path))
            assert reader.Read()
            change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
            change.SetInput(reader.GetImage())
            assert change.Change()
            writer.SetFileName(str(out / path.name))
            writer.SetFile(reader.GetFile())
            writer.SetImage(change.GetOutput())
            assert writer.Write()
            # GDCM also writes positions of its own: all but the pixels is as it was.
            data, made = pydicom.dcmread(path), pydicom.dcmread(out / path.name)
            data.file_meta.TransferSyntaxUID = made.file_meta.TransferSyntaxUID
            data["PixelData"] = made["PixelData"]
            data.save_as(out / path.name)
        return out

    return write
