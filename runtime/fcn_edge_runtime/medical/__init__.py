"""Medical volumes: NIfTI files and DICOM series in, labels of every voxel out."""
