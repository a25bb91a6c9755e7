"""Stored tensors fitted to a network: names cleaned of wrappers, then a strict comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from fcn_edge_runtime._text import printable
from fcn_edge_runtime.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

__all__ = ["fit_state"]

# What training adds to every name: DataParallel and DistributedDataParallel, torch.compile.
_PARALLEL = "module."
_COMPILED = "_orig_mod."
_AUXILIARY = "aux_classifier."
# The number of steps of a batch norm. Files of torch before 0.4.1 lack it, and no output depends on it.
_COUNTER = "num_batches_tracked"
_FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
_SHOWN = 3
_LONGEST = 120  # characters


def fit_state(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Stored tensors under the network's own names, one for each.

    Prefixes of parallel and compiled training are stripped, and so is any other prefix with which every name
    of the network is there, such as the `model.` of a Lightning module. Auxiliary heads and batch norm
    counters that the network does not have are dropped; everything else must match, name by name and shape
    by shape.

    Args:
        state: the stored tensors, in any float type.
        expected: the network's `state_dict()`.
        name: the file, for messages.

    Raises:
        CheckpointError: tensors are missing, left over, of another shape or type, or hold NaN or Inf.
    """
    found = dict(state) if expected.keys() <= state.keys() else _strip(state)
    found = _without_prefix(found, expected, name)
    if not any(key.startswith(_AUXILIARY) for key in expected):
        found = {key: value for key, value in found.items() if not key.startswith(_AUXILIARY)}
    found = {key: value for key, value in found.items() if key in expected or not key.endswith(_COUNTER)}
    counters = {key: value for key, value in expected.items() if key.endswith(_COUNTER) and key not in found}
    found.update(counters)

    _check_names_and_shapes(found, expected, name)
    _check_types(found, expected, name)
    _check_finite(found, expected, name)
    return found


def _strip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = [key.replace(_COMPILED, "") for key in state]
    # On every name or on none: a network may have a part of its own called `module`.
    while names and all(name.startswith(_PARALLEL) for name in names):
        names = [name.removeprefix(_PARALLEL) for name in names]
    return dict(zip(names, state.values(), strict=True))


def _without_prefix(found: dict[str, Tensor], expected: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Names without the one prefix with which all names of the network are there; others stay as they are."""
    needed = [key for key in expected if not key.endswith(_COUNTER)]
    if not needed or all(key in found for key in needed):
        return found
    first = f".{needed[0]}"
    prefixes = [key[: 1 - len(first)] for key in found if key.endswith(first)]
    fitting = [prefix for prefix in prefixes if all(prefix + key in found for key in needed)]
    if len(fitting) > 1:
        raise CheckpointError(
            f"weights {name} hold the network {len(fitting)} times, under {_some(fitting)}: "
            "save the one to export alone"
        )
    prefix = fitting[0] if fitting else ""
    return {key.removeprefix(prefix): value for key, value in found.items()}


def _check_names_and_shapes(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], name: str) -> None:
    missing = [key for key in expected if key not in found]
    extra = [key for key in found if key not in expected]
    shapes = {
        key: (list(found[key].shape), list(expected[key].shape))
        for key in expected
        if key in found and found[key].shape != expected[key].shape
    }
    if not (missing or extra or shapes):
        return
    classes = _other_classes(shapes, next(iter(expected)))
    if classes and not (missing or extra):
        got, wanted = classes
        raise CheckpointError(
            f"weights {name}: got {got} classes, expected {wanted} "
            f"({_some(shapes)}); export with the class list that it was trained on"
        )
    wrong = [f"{key}: got {got}, expected {wanted}" for key, (got, wanted) in shapes.items()]
    problems = (("missing", missing), ("not of this network", extra), ("of another shape", wrong))
    differences = "; ".join(f"{len(keys)} {what} ({_some(keys)})" for what, keys in problems if keys)
    raise CheckpointError(
        f"weights {name} do not fit the network: {differences}; "
        "name the network and the options (--set) that they were trained with"
    )


def _other_classes(shapes: Mapping[str, tuple[list[int], list[int]]], first: str) -> tuple[int, int] | None:
    """(classes stored, classes of the network), where that alone explains every wrong shape.

    The classes are an output size (dimension 0) of the last layers only; a network that is wider or narrower
    everywhere differs from its first layer on.
    """
    if first in shapes or any(len(got) != len(wanted) for got, wanted in shapes.values()):
        return None
    pairs = {
        (got_size, wanted_size)
        for got, wanted in shapes.values()
        for got_size, wanted_size in zip(got, wanted, strict=True)
        if got_size != wanted_size
    }
    if len(pairs) != 1 or any(got[0] == wanted[0] for got, wanted in shapes.values()):
        return None
    return pairs.pop()


def _check_types(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], name: str) -> None:
    wrong = [
        f"{key}: {str(found[key].dtype).removeprefix('torch.')}"
        for key, value in expected.items()
        if value.is_floating_point() and found[key].dtype not in _FLOATS
    ]
    if wrong:
        raise CheckpointError(
            f"weights {name}: expected float tensors, got {len(wrong)} of another type ({_some(wrong)}); "
            "save the float network before it is quantized"
        )


def _check_finite(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], name: str) -> None:
    # In the network's own type: a float64 of 1e300 is finite, and infinite once it is loaded.
    wrong = [
        key
        for key, value in expected.items()
        if value.is_floating_point() and not torch.isfinite(found[key].to(value.dtype)).all()
    ]
    if wrong:
        raise CheckpointError(
            f"weights {name}: {len(wrong)} of {len(expected)} tensors hold NaN or Inf ({_some(wrong)}); "
            "take a checkpoint from before the training diverged"
        )


def _some(items: Iterable[str]) -> str:
    items = [printable(item, _LONGEST) for item in items]
    return ", ".join(items[:_SHOWN]) + (", ..." if len(items) > _SHOWN else "")
