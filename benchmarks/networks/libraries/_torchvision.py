"""Makes torchvision importable beside a torch that it was not built for.

Such a build lacks the operators that its Python code declares. The networks here do not call them, so their
names are enough. Import this module before a library that imports torchvision.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch

_DECLARED: Any = None
if importlib.util.find_spec("torchvision") is not None:
    _DECLARED = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]  # has no type
    for _name in ("nms", "qnms"):
        _DECLARED.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
