"""The training loss: cross-entropy plus a soft Jaccard loss, which approximates the score."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from models.corridor.classes import NAMES, UNLABELED

CLASS_WEIGHTS = (0.9, 0.7, 1.0, 1.3, 1.2, 1.4, 1.6)
"""Rare classes weigh more, but far less than by inverse frequency, which would label walls as people."""


def loss(logits: Tensor, labels: Tensor) -> Tensor:
    """`[N, C, h, w]` logits and `[N, h, w]` int64 labels -> a scalar; unlabeled pixels do not count.

    The second term is 1 - soft IoU (Rahman and Wang, 2016), taken over the batch and averaged over the
    classes that occur in it.
    """
    weights = torch.tensor(CLASS_WEIGHTS, device=logits.device)
    entropy = F.cross_entropy(logits, labels, weights, ignore_index=UNLABELED)
    known = labels != UNLABELED
    truth = F.one_hot(torch.where(known, labels, 0), len(NAMES)).movedim(-1, 1) * known.unsqueeze(1)
    guess = logits.softmax(1) * known.unsqueeze(1)
    both = (guess * truth).sum((0, 2, 3))
    size = truth.sum((0, 2, 3))
    either = guess.sum((0, 2, 3)) + size - both
    jaccard = 1 - (both + 1) / (either + 1)
    return entropy + jaccard[size > 0].mean()
