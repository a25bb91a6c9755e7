"""A network that another library saved, with what it saved beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fcn_edge.nets.building import NetSpec

__all__ = ["SavedNet"]


@dataclass(frozen=True)
class SavedNet:
    """A saved network: nothing is built yet.

    Attributes:
        spec: builds it with its weights.
        card: name, description, classes and input, as in a card file.
        working_size: the size to which its preprocessing resizes images, as "512x512"; None is their own.
        notes: what its preprocessing does and the file does not, in words.
    """

    spec: NetSpec
    card: Mapping[str, Any] = field(default_factory=dict)
    working_size: str | None = None
    notes: tuple[str, ...] = ()
