"""Layers ranked by the damage that integers do in them, relative to the cost of keeping them in float.

The damage of a layer is the mean squared error of the logits where it alone is computed in integers. Its cost
is its share of the work. The layer with the most damage for its cost is kept in float first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from fcn_edge_export.graph.names import LOGITS
from fcn_edge_export.graph.work import shapes_of, work_of
from fcn_edge_export.lowering.body import Body
from fcn_edge_runtime.session.session import SessionOptions, exact_integers, open_session

__all__ = ["LayerDamage", "logits_of_frames", "rank_layers", "shares_of"]

Array = npt.NDArray[Any]

ADDITION = 16  # multiplications that take about as long as moving one number to an addition and back


@dataclass(frozen=True)
class LayerDamage:
    """The damage of integers in one product with weights or addition.

    Attributes:
        name: of its node.
        damage: mean squared error of the logits, as a share of their variance, with it alone in integers.
        share: of the body's work, 0..1: what keeping it in float costs.
    """

    name: str
    damage: float
    share: float


def rank_layers(
    body: Body,
    shares: dict[str, float],
    expected: Sequence[Array],
    logits_with: Callable[[str], Sequence[Array]],
) -> tuple[LayerDamage, ...]:
    """The body's products and additions, first the one with the most damage for its cost.

    Args:
        body: of the model.
        shares: of the work, by name, see `shares_of`.
        expected: the parent's logits of some frames.
        logits_with: the logits of the same frames with the named layer alone in integers.
    """
    variance = float(np.mean([np.var(logits) for logits in expected])) or 1.0
    found = []
    for name in (*body.products, *body.additions):
        got = logits_with(name)
        error = np.mean([np.mean(np.square(a - b)) for a, b in zip(got, expected, strict=True)])
        found.append(LayerDamage(name, float(error) / variance, shares[name]))
    return tuple(sorted(found, key=lambda layer: -layer.damage / max(layer.share, 1e-6)))


def shares_of(model: onnx.ModelProto, body: Body, image: Array) -> dict[str, float]:
    """Each layer's share of the time of the body, counted in multiplications, for an image (N, H, W, C)."""
    sums = {node.name: node.output[0] for node in model.graph.node if node.name in body.additions}
    shapes = shapes_of(model, list(sums.values()), image) if sums else {}
    work = work_of(model, image)
    each = {
        **{name: float(work[name]) for name in body.products},
        **{name: float(ADDITION * prod(shapes[value])) for name, value in sums.items()},
    }
    total = sum(each.values())
    return {name: value / total for name, value in each.items()}


def logits_of_frames(model: bytes, images: Sequence[Array]) -> list[Array]:
    """The logits (N, K, H, W) that a probe gives for each image."""
    session = open_session(model, "cpu", options=SessionOptions(config=exact_integers()))
    return [session.run(image, [LOGITS])[LOGITS] for image in images]
