"""What is known of a tensor while a graph is followed, and of an operator that makes one."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fcn_edge_runtime.model.protobuf.tensors import ITEM_SIZES, NUMPY_TYPES

__all__ = ["Dims", "Known", "Refused", "Step"]

Dims = tuple[int, ...]
_INTEGERS = frozenset(key for key, name in NUMPY_TYPES.items() if name[1] in "iu")


class Refused(Exception):  # noqa: N818 - a reason, which becomes a ModelError
    """Why an operator is not accepted. The message continues "has an operator NAME "."""


class Known:
    """A tensor.

    Attributes:
        dims: its shape, or the largest that it can have.
        elements: their product.
        kind: ONNX's number of its type, one of `NUMPY_TYPES`.
        bytes: what they take.
        exact: `dims` do not depend on what the image shows.
        constant: it is made of stored tensors alone, so onnxruntime computes it when it loads the file.
        value: its elements, where it is small and they do not depend on what the image shows.
    """

    __slots__ = ("bytes", "constant", "dims", "elements", "exact", "kind", "value")

    def __init__(
        self,
        dims: Dims,
        kind: int,
        value: np.ndarray | None = None,
        *,
        exact: bool = True,
        constant: bool = False,
    ) -> None:
        self.dims = dims
        self.elements = math.prod(dims)
        self.kind = kind
        self.bytes = self.elements * ITEM_SIZES[kind]
        self.exact = exact
        self.constant = constant
        self.value = value

    @property
    def is_integer(self) -> bool:
        """Whether its elements are whole numbers."""
        return self.kind in _INTEGERS


class Step(NamedTuple):
    """A node, without references to the file.

    Attributes:
        op: the operator; of another domain "domain::name".
        inputs: names; empty where one is left out.
        outputs: names.
        numbers: attributes that are one whole number.
        lists: attributes that are a list of whole numbers.
        texts: attributes that are text.
        tensor: the value of an attribute that is a small tensor.
        alone: for each input, whether nothing else reads it.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: dict[str, int]
    lists: dict[str, tuple[int, ...]]
    texts: dict[str, str]
    tensor: np.ndarray | None
    alone: tuple[bool, ...] = ()
