"""PyTorch -> verified ONNX. Importing it loads no torch."""

from fcn_edge_export.classes import CITYSCAPES, VOC, classes_from_names, numbered_classes
from fcn_edge_export.pipeline import ExportResult, export

__all__ = ["CITYSCAPES", "VOC", "ExportResult", "classes_from_names", "export", "numbered_classes"]
