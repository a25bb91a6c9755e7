"""Networks that classify masks: queries, each with a mask and its classes, combined into scores of a pixel.

They return logits of classes [batch, queries, classes + 1] and of masks [batch, queries, h, w], under names
of `_QUERIES`. The score of a class at a pixel is the sum over the queries of softmax(class) * sigmoid(mask),
without the last class, which is "none": transformers takes the argmax of it in
`post_process_semantic_segmentation`, and the repositories of the authors in `semantic_inference`. Some resize
the masks first, to a size of their own.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["SemanticMap"]

# Logits of classes and of masks, and the size to which masks are resized first: a size, "image" or none. The
# kind of output decides where transformers has the names in common.
_QUERIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "class_queries_logits",
        "masks_queries_logits",
        {"Mask2Former": (384, 384), "Eomt": "image", "Videomt": "image"},
    ),
    ("logits", "pred_masks", {}),  # DETR of transformers
    ("pred_logits", "pred_masks", {"": "image"}),  # the repositories of DETR, MaskFormer and Mask2Former
)


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
        for of_classes, of_masks, sizes in _QUERIES:
            classes, masks = _get(output, of_classes), _get(output, of_masks)
            if _are_queries(classes, masks):
                kind = type(output).__name__
                size = next((size for start, size in sizes.items() if kind.startswith(start)), None)
                return _scores(classes, masks, size, x.shape[-2:])
        return output


def _scores(classes: Tensor, masks: Tensor, size: Any, image: Any) -> Tensor:
    if size is not None:
        masks = _resized(masks, image if size == "image" else size)
    scores = torch.einsum("bqc,bqhw->bchw", classes.softmax(-1)[..., :-1], masks.sigmoid())
    return scores if size == "image" else _resized(scores, image)


def _are_queries(classes: Any, masks: Any) -> bool:
    """Whether these are logits of the classes and the masks of the same queries."""
    tensors = isinstance(classes, Tensor) and isinstance(masks, Tensor)
    return tensors and classes.dim() == 3 and masks.dim() == 4 and classes.shape[1] == masks.shape[1]


def _get(output: Any, name: str) -> Any:
    return output.get(name) if isinstance(output, dict) else getattr(output, name, None)


def _resized(x: Tensor, size: Any) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
