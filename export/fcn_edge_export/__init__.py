"""PyTorch -> verified ONNX, and from there to lower precision.

Importing this loads neither torch nor onnx: a name is imported when it is first used.
"""

from typing import TYPE_CHECKING

from fcn_edge_runtime._lazy import lazy_face

if TYPE_CHECKING:
    from fcn_edge_export.adoption.adopt import adopt
    from fcn_edge_export.classes import CITYSCAPES, VOC, classes_from_names, numbered_classes
    from fcn_edge_export.finish import ExportResult
    from fcn_edge_export.lowering.fp16 import convert_to_fp16
    from fcn_edge_export.lowering.lower import LoweringResult
    from fcn_edge_export.lowering.quantize import quantize
    from fcn_edge_export.lowering.weights_only import quantize_weights
    from fcn_edge_export.options import (
        AdoptOptions,
        ExportOptions,
        Fp16Options,
        QuantizeOptions,
        VerifyOptions,
        WeightsOptions,
    )
    from fcn_edge_export.pipeline import export
    from fcn_edge_export.variants.variant import VariantResult, variant
    from fcn_edge_export.verification.verify_file import VerifyResult, verify

__all__ = [
    "CITYSCAPES",
    "VOC",
    "AdoptOptions",
    "ExportOptions",
    "ExportResult",
    "Fp16Options",
    "LoweringResult",
    "QuantizeOptions",
    "VariantResult",
    "VerifyOptions",
    "VerifyResult",
    "WeightsOptions",
    "adopt",
    "classes_from_names",
    "convert_to_fp16",
    "export",
    "numbered_classes",
    "quantize",
    "quantize_weights",
    "variant",
    "verify",
]

_HOMES = {
    "CITYSCAPES": "classes",
    "VOC": "classes",
    "AdoptOptions": "options",
    "ExportOptions": "options",
    "ExportResult": "finish",
    "Fp16Options": "options",
    "LoweringResult": "lowering.lower",
    "QuantizeOptions": "options",
    "VariantResult": "variants.variant",
    "VerifyOptions": "options",
    "VerifyResult": "verification.verify_file",
    "WeightsOptions": "options",
    "adopt": "adoption.adopt",
    "classes_from_names": "classes",
    "convert_to_fp16": "lowering.fp16",
    "export": "pipeline",
    "numbered_classes": "classes",
    "quantize": "lowering.quantize",
    "quantize_weights": "lowering.weights_only",
    "variant": "variants.variant",
    "verify": "verification.verify_file",
}

__getattr__, __dir__ = lazy_face(__name__, {name: f"{__name__}.{home}" for name, home in _HOMES.items()})
