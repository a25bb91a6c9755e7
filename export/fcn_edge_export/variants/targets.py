"""All targets by name."""

from __future__ import annotations

from fcn_edge_export.variants.deepness import DEEPNESS
from fcn_edge_export.variants.isaac import ISAAC
from fcn_edge_export.variants.luxonis import LUXONIS
from fcn_edge_export.variants.model_api import MODEL_API
from fcn_edge_export.variants.plain import LOGITS, STATIC
from fcn_edge_export.variants.target import Target
from fcn_edge_runtime._sizes import parse_size
from fcn_edge_runtime.errors import UsageError

__all__ = ["TARGETS", "target_named"]

TARGETS = {target.name: target for target in (DEEPNESS, ISAAC, MODEL_API, LUXONIS, STATIC, LOGITS)}
_LONGEST = 40  # characters


def target_named(text: str) -> tuple[Target, tuple[int, int] | None]:
    """The target and the (height, width) that a user typed, such as "static:480x640".

    Raises:
        UsageError: there is no such target, or the size is not one.
    """
    name, colon, size = text.partition(":")
    target = TARGETS.get(name)
    if target is None:
        raise UsageError(f"unknown target {name[:_LONGEST]!r}: expected one of {', '.join(TARGETS)}")
    return target, parse_size(size[:_LONGEST]) if colon else None
