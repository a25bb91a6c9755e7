"""The network in PyTorch on the same device, as its guides describe: from frames to labels in host memory."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.gpu.files import Subject

__all__ = ["Label", "compiled", "eager"]

Label = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]


def eager(subject: Subject, device: str, *, half: bool) -> Label:
    """float32 without TF32, or float16 with channels_last."""
    return _labels(_whole(subject, device, half=half), device)


def compiled(subject: Subject, device: str) -> Label:
    """float16, channels_last, torch.compile with CUDA graphs; it compiles again for each shape."""
    import torch

    mode = "reduce-overhead" if device == "cuda" else None
    return _labels(torch.compile(_whole(subject, device, half=True), mode=mode, dynamic=False), device)


def _whole(subject: Subject, device: str, *, half: bool) -> Callable[[Any], Any]:
    import torch

    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    dtype = torch.float16 if half else torch.float32
    layout = torch.channels_last if half else torch.contiguous_format
    net: Any = copy.deepcopy(subject.net).eval()
    net = net.to(device=device, dtype=dtype, memory_format=layout)
    mean, std = (torch.tensor(v, device=device).reshape(1, 3, 1, 1) for v in (subject.mean, subject.std))

    def run(frames: Any) -> Any:
        x = (frames.permute(0, 3, 1, 2) / 255 - mean) / std
        return net(x.to(dtype, memory_format=layout)).argmax(1).to(torch.uint8)

    return run


def _labels(run: Callable[[Any], Any], device: str) -> Label:
    import torch

    def label(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        with torch.inference_mode():
            labels: npt.NDArray[np.uint8] = run(torch.from_numpy(frames).to(device)).cpu().numpy()
        return labels

    return label
