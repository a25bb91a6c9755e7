"""Networks that classify masks: queries, each with a mask and its classes, combined into scores of a pixel.

MaskFormer, Mask2Former, OneFormer and EoMT return `class_queries_logits` [batch, queries, classes + 1] and
`masks_queries_logits` [batch, queries, h, w]. The score of a class at a pixel is the sum over the queries of
softmax(class) * sigmoid(mask), without the last class, which is "none": transformers takes the argmax of it
in `post_process_semantic_segmentation`. Some resize the masks first, to a size of their own.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["SemanticMap"]

CLASSES, MASKS = "class_queries_logits", "masks_queries_logits"
# The kind of output -> the size to which its post-processing resizes masks first: a size, or "image".
_MASK_SIZES: dict[str, Any] = {"Mask2Former": (384, 384), "Eomt": "image", "Videomt": "image"}


class SemanticMap(nn.Module):
    """The network, whose queries are combined into scores; one that returns anything else is left as it is.

    Args:
        net: the network.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Any:
        """Scores [batch, classes, height, width], or what the network returns."""
        output = self.net(x)
        classes, masks = (_get(output, name) for name in (CLASSES, MASKS))
        if not isinstance(classes, Tensor) or not isinstance(masks, Tensor):
            return output
        size = next((s for kind, s in _MASK_SIZES.items() if type(output).__name__.startswith(kind)), None)
        if size is not None:
            masks = _resized(masks, x.shape[-2:] if size == "image" else size)
        scores = torch.einsum("bqc,bqhw->bchw", classes.softmax(-1)[..., :-1], masks.sigmoid())
        return scores if size == "image" else _resized(scores, x.shape[-2:])


def _get(output: Any, name: str) -> Any:
    return output.get(name) if isinstance(output, dict) else getattr(output, name, None)


def _resized(x: Tensor, size: Any) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
