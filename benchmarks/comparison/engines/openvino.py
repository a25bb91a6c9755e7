"""OpenVINO as its guides describe: all in the graph, fixed shape, latency hint, shared memory.

int8 is NNCF's post-training quantization; the layers it keeps in float run in float32 or bfloat16. On
processors without VNNI its overflow fix is on, as its guide recommends.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comparison.contract import Frame, Labels, Materials, NotOffered, Prepare, Prepared
from benchmarks.comparison.engines.ours import FILES

__all__ = ["VARIANTS"]


def _float(materials: Materials, precision: str) -> Prepared:
    return _compiled(materials, _network(materials), precision, "")


def _int8(materials: Materials, rest: str) -> Prepared:
    import nncf

    frames = materials.calibration()
    fix = nncf.OverflowFix.DISABLE if _has_vnni() else nncf.OverflowFix.ENABLE
    quantized = nncf.quantize(
        _network(materials),
        nncf.Dataset([frame[None] for frame in frames]),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(frames),
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=fix),
    )
    return _compiled(materials, quantized, rest, f", NNCF {nncf.__version__} mixed preset")


def _qdq(materials: Materials, rest: str) -> Prepared:
    import openvino as ov

    name = FILES["int8"]
    if name in materials.refused:
        raise NotOffered(materials.refused[name])
    model = ov.Core().read_model(materials.ours(name))
    model.reshape([1, materials.height, materials.width, 3])
    return _run(materials, model, rest, "our QDQ file unchanged, latency hint")


def _network(materials: Materials) -> Any:
    """The network with normalization in the graph: uint8 [1, H, W, 3] to logits."""
    import openvino as ov

    steps = ov.preprocess.PrePostProcessor(ov.Core().read_model(materials.onnx))
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NCHW"))
    mean, std = list(materials.mean), list(materials.std)
    steps.input().preprocess().convert_element_type(ov.Type.f32).scale(255.0).mean(mean).scale(std)
    return steps.build()


def _compiled(materials: Materials, model: Any, precision: str, how: str) -> Prepared:
    import openvino as ov
    from openvino import opset15 as ops

    logits = model.output(0).get_node().input_value(0)
    best = ops.topk(logits, np.int32(1), 1, "max", "none", index_element_type="i32")
    labels = ops.convert(ops.squeeze(best.output(1), ops.constant(np.array([1]))), "u8")
    whole = ov.Model([ops.result(labels)], model.get_parameters(), "whole")
    return _run(materials, whole, precision, f"normalization and argmax in the graph, latency hint{how}")


def _run(materials: Materials, model: Any, precision: str, how: str) -> Prepared:
    import openvino as ov

    core = ov.Core()
    capability = {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}[precision]
    if capability not in (can := core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")):
        raise NotOffered(f"OpenVINO has no {capability.lower()} on this CPU, only {', '.join(can)}")
    compiled = core.compile_model(
        model,
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": materials.threads,
            "INFERENCE_PRECISION_HINT": precision,
        },
    )
    request = compiled.create_infer_request()

    def label(frame: Frame) -> Labels:
        labels: Labels = request.infer(frame[None], share_inputs=True, share_outputs=True)[0][0]
        return labels

    return Prepared(label, how, {"openvino": ov.__version__})


def _has_vnni() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return False
    return "_vnni" in flags or "asimddp" in flags


VARIANTS: dict[str, Prepare] = {
    "fp32": partial(_float, precision="f32"),
    "bf16": partial(_float, precision="bf16"),
    "fp16": partial(_float, precision="f16"),
    "int8": partial(_int8, rest="f32"),
    "int8, bf16": partial(_int8, rest="bf16"),
    "int8 from our file": partial(_qdq, rest="f32"),
    "int8, bf16 from our file": partial(_qdq, rest="bf16"),
}
