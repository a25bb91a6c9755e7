"""PyTorch -> verified ONNX. Importing it loads no torch."""

from fcn_edge_export.classes import CITYSCAPES, VOC, classes_from_names, numbered_classes
from fcn_edge_export.pipeline import ExportResult, export
from fcn_edge_export.verification.verify_file import VerifyResult, verify_file

__all__ = [
    "CITYSCAPES",
    "VOC",
    "ExportResult",
    "VerifyResult",
    "classes_from_names",
    "export",
    "numbered_classes",
    "verify_file",
]
