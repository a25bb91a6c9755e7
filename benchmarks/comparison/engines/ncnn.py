"""ncnn as its guides describe: pnnx from TorchScript, from_pixels for the input, bf16 storage."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.comparison.contract import Frame, Labels, Materials, NotOffered, Prepare, Prepared, winners
from fcn_edge_runtime._child import ChildError, run_child

__all__ = ["VARIANTS"]


def _float32(materials: Materials) -> Prepared:
    return _opened(materials, "fp32", bfloat16=False, float16=False)


def _bfloat16(materials: Materials) -> Prepared:
    return _opened(materials, "bf16 storage", bfloat16=True, float16=False)


def _float16(materials: Materials) -> Prepared:
    """fp16 is an option in ncnn: it is measured only if it changes the output."""
    exact = _scorer(materials, "exact", bfloat16=False, float16=False)
    lower = _scorer(materials, "lower", bfloat16=False, float16=True)
    frame = materials.frames()[0]
    if np.array_equal(exact(frame).copy(), lower(frame)):
        raise NotOffered("ncnn's wheel computes fp16 as float32 on this machine: logits are bit-equal")
    return _opened(materials, "fp16", bfloat16=False, float16=True)


def _int8(_materials: Materials) -> Prepared:
    raise NotOffered("ncnn's wheel has neither ncnn2table nor ncnn2int8: int8 needs ncnn built from source")


def _opened(materials: Materials, how: str, *, bfloat16: bool, float16: bool) -> Prepared:
    import ncnn

    score = _scorer(materials, how.split(maxsplit=1)[0], bfloat16=bfloat16, float16=float16)

    def label(frame: Frame) -> Labels:
        return winners(score(frame))

    words = f"pnnx from TorchScript, {how}; from_pixels, argmax by numpy"
    return Prepared(label, words, {"ncnn": ncnn.__version__})


def _scorer(
    materials: Materials, name: str, *, bfloat16: bool, float16: bool
) -> Callable[[Frame], npt.NDArray[np.float32]]:
    """From a frame to logits (C, H, W)."""
    import ncnn

    param, weights = _converted(materials, name)
    net = ncnn.Net()
    net.opt.num_threads = materials.threads
    net.opt.use_bf16_storage = bfloat16
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = float16
    net.load_param(str(param))
    net.load_model(str(weights))
    first, last = net.input_names()[0], net.output_names()[0]
    mean = [255 * m for m in materials.mean]
    norm = [1 / (255 * s) for s in materials.std]
    rgb, width, height = ncnn.Mat.PixelType.PIXEL_RGB, materials.width, materials.height

    def score(frame: Frame) -> npt.NDArray[np.float32]:
        pixels = ncnn.Mat.from_pixels(frame, rgb, width, height)
        pixels.substract_mean_normalize(mean, norm)
        extractor = net.create_extractor()
        extractor.input(first, pixels)
        _, scores = extractor.extract(last)
        return np.asarray(scores)

    return score


def _converted(materials: Materials, name: str) -> tuple[Path, Path]:
    """By pnnx, a program in a wheel whose Python package needs torch, though the program does not."""
    spec = find_spec("pnnx")
    if spec is None or spec.origin is None:
        raise NotOffered("pnnx, ncnn's converter, is not in this environment")
    folder = materials.folder / f"pnnx-{name}"
    folder.mkdir(exist_ok=True)
    source = folder / "net.pt"
    source.write_bytes(materials.torchscript.read_bytes())  # pnnx writes its files beside its input
    shape = f"inputshape=[1,3,{materials.height},{materials.width}]"
    command = [str(Path(spec.origin).with_name("pnnx")), str(source), shape, "fp16=0"]
    try:
        run_child(command, folder=folder)
    except ChildError as error:
        raise NotOffered(f"pnnx {error}") from None
    param, weights = folder / "net.ncnn.param", folder / "net.ncnn.bin"
    if not param.exists():
        raise NotOffered("pnnx wrote no file")
    return param, weights


VARIANTS: dict[str, Prepare] = {"fp32": _float32, "bf16": _bfloat16, "fp16": _float16, "int8": _int8}
