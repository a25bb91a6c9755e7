"""Plain export: torch.onnx.export and onnxruntime with their defaults, numpy before and after."""

from __future__ import annotations

import os

import numpy as np

from benchmarks.comparison.contract import Frame, Labels, Materials, Prepare, Prepared

__all__ = ["VARIANTS"]


def _float32(materials: Materials) -> Prepared:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = materials.threads
    session = ort.InferenceSession(str(materials.onnx), options, providers=["CPUExecutionProvider"])
    mean = np.array(materials.mean, np.float32)
    std = np.array(materials.std, np.float32)

    def label(frame: Frame) -> Labels:
        x = (frame.astype(np.float32) / 255 - mean) / std
        x = np.ascontiguousarray(x.transpose(2, 0, 1)[None])
        (logits,) = session.run(None, {"image": x})
        labels: Labels = logits[0].argmax(0).astype(np.uint8)
        return labels

    how = "torch.onnx.export, onnxruntime's defaults, numpy normalizes and takes the argmax"
    return Prepared(label, how, {"onnxruntime": ort.__version__})


VARIANTS: dict[str, Prepare] = {"fp32": _float32}
