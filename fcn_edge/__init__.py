"""Export fully convolutional networks from PyTorch to one verified ONNX file, and run it anywhere.

    import fcn_edge

    net = fcn_edge.build("fcn_resnet50", num_classes=21)  # or any torch.nn.Module of yours
    fcn_edge.export(net, fcn_edge.Card("road", fcn_edge.VOC), "road.onnx")
    labels = fcn_edge.Segmenter("road.onnx")(frame).labels  # frame: (H, W, 3) uint8 RGB

This is the public interface. Importing it loads no torch, onnx, onnxruntime or numpy: each name is imported
when it is first used.
"""

from typing import TYPE_CHECKING

from fcn_edge_runtime._lazy import lazy_face

if TYPE_CHECKING:
    from fcn_edge.nets.building import build
    from fcn_edge.planning.plan import Plan, PlanOptions, plan
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
    from fcn_edge_runtime.benchmark.report import BenchmarkOptions, BenchmarkReport
    from fcn_edge_runtime.benchmark.run import benchmark
    from fcn_edge_runtime.benchmark.tune import Tuned, TuneOptions, tune
    from fcn_edge_runtime.errors import (
        ArtifactError,
        CheckpointError,
        FcnEdgeError,
        InputError,
        ModelError,
        ProfileError,
        ProviderError,
        UsageError,
        VerificationError,
    )
    from fcn_edge_runtime.evaluation.evaluate import Evaluation, evaluate
    from fcn_edge_runtime.evaluation.masks import LabelFolder
    from fcn_edge_runtime.imaging.effects import Effect
    from fcn_edge_runtime.maps.label_raster import MapOptions, MapResult, label_raster
    from fcn_edge_runtime.model.card import Card, ClassCode, ClassInfo, InputSpec
    from fcn_edge_runtime.segmentation import Segmentation
    from fcn_edge_runtime.segmenter import Segmenter
    from fcn_edge_runtime.selftest import SelfTestReport
    from fcn_edge_runtime.session.profile import Profile
    from fcn_edge_runtime.session.session import SessionOptions
    from fcn_edge_runtime.trusted_session import selftest
    from fcn_edge_runtime.video import video_frames

    __version__: str

__all__ = [
    "CITYSCAPES",
    "VOC",
    "AdoptOptions",
    "ArtifactError",
    "BenchmarkOptions",
    "BenchmarkReport",
    "Card",
    "CheckpointError",
    "ClassCode",
    "ClassInfo",
    "Effect",
    "Evaluation",
    "ExportOptions",
    "ExportResult",
    "FcnEdgeError",
    "Fp16Options",
    "InputError",
    "InputSpec",
    "LabelFolder",
    "LoweringResult",
    "MapOptions",
    "MapResult",
    "ModelError",
    "Plan",
    "PlanOptions",
    "Profile",
    "ProfileError",
    "ProviderError",
    "QuantizeOptions",
    "Segmentation",
    "Segmenter",
    "SelfTestReport",
    "SessionOptions",
    "TuneOptions",
    "Tuned",
    "UsageError",
    "VariantResult",
    "VerificationError",
    "VerifyOptions",
    "VerifyResult",
    "WeightsOptions",
    "__version__",
    "adopt",
    "benchmark",
    "build",
    "classes_from_names",
    "convert_to_fp16",
    "evaluate",
    "export",
    "label_raster",
    "numbered_classes",
    "plan",
    "quantize",
    "quantize_weights",
    "selftest",
    "tune",
    "variant",
    "verify",
    "video_frames",
]

_HOMES = {
    "fcn_edge.nets.building": ("build",),
    "fcn_edge.planning.plan": ("Plan", "PlanOptions", "plan"),
    "fcn_edge_export.adoption.adopt": ("adopt",),
    "fcn_edge_export.classes": ("CITYSCAPES", "VOC", "classes_from_names", "numbered_classes"),
    "fcn_edge_export.lowering.fp16": ("convert_to_fp16",),
    "fcn_edge_export.lowering.lower": ("LoweringResult",),
    "fcn_edge_export.lowering.quantize": ("quantize",),
    "fcn_edge_export.lowering.weights_only": ("quantize_weights",),
    "fcn_edge_export.options": (
        "AdoptOptions",
        "ExportOptions",
        "Fp16Options",
        "QuantizeOptions",
        "VerifyOptions",
        "WeightsOptions",
    ),
    "fcn_edge_export.finish": ("ExportResult",),
    "fcn_edge_export.pipeline": ("export",),
    "fcn_edge_export.variants.variant": ("VariantResult", "variant"),
    "fcn_edge_export.verification.verify_file": ("VerifyResult", "verify"),
    "fcn_edge_runtime.benchmark.report": ("BenchmarkOptions", "BenchmarkReport"),
    "fcn_edge_runtime.benchmark.run": ("benchmark",),
    "fcn_edge_runtime.benchmark.tune": ("TuneOptions", "Tuned", "tune"),
    "fcn_edge_runtime.errors": (
        "ArtifactError",
        "CheckpointError",
        "FcnEdgeError",
        "InputError",
        "ModelError",
        "ProfileError",
        "ProviderError",
        "UsageError",
        "VerificationError",
    ),
    "fcn_edge_runtime.evaluation.evaluate": ("Evaluation", "evaluate"),
    "fcn_edge_runtime.evaluation.masks": ("LabelFolder",),
    "fcn_edge_runtime.imaging.effects": ("Effect",),
    "fcn_edge_runtime.maps.label_raster": ("MapOptions", "MapResult", "label_raster"),
    "fcn_edge_runtime.model.card": ("Card", "ClassCode", "ClassInfo", "InputSpec"),
    "fcn_edge_runtime.segmentation": ("Segmentation",),
    "fcn_edge_runtime.segmenter": ("Segmenter",),
    "fcn_edge_runtime.selftest": ("SelfTestReport",),
    "fcn_edge_runtime.session.profile": ("Profile",),
    "fcn_edge_runtime.session.session": ("SessionOptions",),
    "fcn_edge_runtime.trusted_session": ("selftest",),
    "fcn_edge_runtime.video": ("video_frames",),
    "fcn_edge._version": ("__version__",),
}

__getattr__, __dir__ = lazy_face(__name__, {name: home for home, names in _HOMES.items() for name in names})
