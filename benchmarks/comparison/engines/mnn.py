"""MNN as its guides describe: mnnconvert from ONNX, ImageProcess for the input, mnnquant or dynamic int8.

The tools are called as functions of the wheel: their command lines report use over the network, and that of
mnnquant crashes, because it passes three names to a function that takes a list. Its method is KL, because EMA
keeps 12 % of the labels of this network, after a conversion without keepInputFormat, with which KL crashes.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comparison.contract import Frame, Labels, Materials, NotOffered, Prepare, Prepared, winners

__all__ = ["VARIANTS"]


def _float32(materials: Materials) -> Prepared:
    model = _converted(materials, "fp32")
    return _opened(materials, model, "high", "normal", "mnnconvert, precision high")


def _low(materials: Materials, precision: str, words: str) -> Prepared:
    """Lower precision is a hint in MNN: it is measured only if it changes the output."""
    model = _converted(materials, words)
    exact = _scorer(materials, model, "high", "normal")
    lower = _scorer(materials, model, precision, "normal")
    frame = materials.frames()[0]
    if np.array_equal(exact(frame).copy(), lower(frame)):
        raise NotOffered(
            f"MNN's wheel computes precision {precision} as float32 on this machine: logits are bit-equal"
        )
    return _opened(materials, model, precision, "normal", f"mnnconvert, precision {precision}")


def _dynamic(materials: Materials) -> Prepared:
    model = _converted(materials, "dynamic", "--weightQuantBits", "8")
    return _opened(materials, model, "low", "low", "8-bit weights, activations quantized at run time")


def _int8(materials: Materials) -> Prepared:
    import _tools

    source, target = _converted(materials, "source", "--keepInputFormat=0"), materials.folder / "int8.mnn"
    config = materials.folder / "mnnquant.json"
    normal = [1 / (255 * s) for s in materials.std]
    settings = {
        "format": "RGB",
        "mean": [255 * m for m in materials.mean],
        "normal": normal,
        "width": materials.width,
        "height": materials.height,
        "path": f"{materials.pictures}/",
        "used_image_num": len(list(materials.pictures.iterdir())),
        "feature_quantize_method": "KL",
        "weight_quantize_method": "MAX_ABS",
    }
    config.write_text(json.dumps(settings), "utf-8")
    target.unlink(missing_ok=True)
    _tools.mnnquant(["mnnquant", str(source), str(target), str(config)])
    if not target.exists():
        raise NotOffered("mnnquant wrote no file")
    return _opened(materials, target, "normal", "normal", "mnnquant, KL")


def _converted(materials: Materials, name: str, *options: str) -> Path:
    import _tools

    target = materials.folder / f"{name}.mnn"
    target.unlink(missing_ok=True)
    source = ["-f", "ONNX", "--modelFile", str(materials.onnx), "--MNNModel", str(target), "--bizCode", "net"]
    _tools.mnnconvert(["mnnconvert", *source, *options])
    if not target.exists():
        raise NotOffered("mnnconvert wrote no file")
    return target


def _scorer(materials: Materials, model: Path, precision: str, memory: str) -> Any:
    """From a frame to logits (C, H, W) float32, in the same memory each time."""
    import MNN

    interpreter = MNN.Interpreter(str(model))
    session = interpreter.createSession(
        {"backend": "CPU", "numThread": materials.threads, "precision": precision, "memory": memory}
    )
    source, scores = interpreter.getSessionInput(session), interpreter.getSessionOutput(session)
    process = MNN.CVImageProcess(
        {
            "sourceFormat": MNN.CV_ImageFormat_RGB,
            "destFormat": MNN.CV_ImageFormat_RGB,
            "mean": (*(255 * m for m in materials.mean), 0.0),
            "normal": (*(1 / (255 * s) for s in materials.std), 1.0),
        }
    )
    shape = scores.getShape()
    host = MNN.Tensor(
        shape, MNN.Halide_Type_Float, np.zeros(shape, np.float32), MNN.Tensor_DimensionType_Caffe
    )

    def score(frame: Frame) -> Any:
        process.convert(frame.ctypes.data, materials.width, materials.height, 0, source)
        interpreter.runSession(session)
        scores.copyToHostTensor(host)
        return host.getNumpyData()[0]

    return score


def _opened(materials: Materials, model: Path, precision: str, memory: str, how: str) -> Prepared:
    import MNN

    score = _scorer(materials, model, precision, memory)

    def label(frame: Frame) -> Labels:
        return winners(score(frame))

    return Prepared(label, f"{how}; ImageProcess, argmax by numpy", {"MNN": MNN.version()})


VARIANTS: dict[str, Prepare] = {
    "fp32": _float32,
    "fp16": partial(_low, precision="low", words="fp16"),
    "bf16": partial(_low, precision="lowBF", words="bf16"),
    "int8": _int8,
    "int8 dynamic": _dynamic,
}
