"""Targets for no program of its own: fixed shapes for compilers, and the plain network."""

from __future__ import annotations

from fcn_edge_export.variants.target import Facts, Target

__all__ = ["LOGITS", "STATIC"]


def _static_duties(facts: Facts) -> tuple[str, ...]:
    height, width = facts.size or (0, 0)
    return (
        f"give one image of {height} x {width} at a time: resize or cut it, and fit the labels back",
        "nothing else changes: pixels in, labels out; compare labels on the device",
    )


def _logits_duties(facts: Facts) -> tuple[str, ...]:
    decision = (
        "the label is the first channel with the largest value"
        if facts.logits > 1
        else "the label is 1 where the value is above 0"
    )
    return (
        f"normalize yourself, in float32, channels before height and width: {facts.card.input.formula}",
        f"decide yourself: {decision}",
    )


STATIC = Target(
    name="static",
    about="fixed shapes, for NPUs, QNN, TensorRT without profiles",
    takes="pixels",
    gives="outputs",
    duties=_static_duties,
    input="image",
    sized=True,
    dtypes=(),
)
LOGITS = Target(
    name="logits",
    about="the plain network: NCHW floats in, logits out",
    takes="normalized",
    gives="logits",
    duties=_logits_duties,
    output="logits",
    dtypes=(),
)
