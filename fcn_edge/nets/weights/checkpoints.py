"""Weights from a file, read as data: no code of the file ever runs.

`.safetensors` holds nothing but tensors. `.pth` and `.pt` are pickles, which torch reads with
`weights_only=True`: an interpreter that knows tensors and containers and refuses every other name. Loading
is never retried without it.
"""

from __future__ import annotations

import argparse
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fcn_edge.nets.weights.fitting import fit_state
from fcn_edge.nets.weights.formats import Kind, identify
from fcn_edge_runtime._text import printable
from fcn_edge_runtime.errors import CheckpointError

if TYPE_CHECKING:
    import os

    from torch import nn

__all__ = ["load_weights", "read_state_dict"]

# Where training scripts put the state_dict, the likeliest first: Lightning and most others, torchvision's
# references and jetson-inference ("model"), pytorch-fcn ("model_state_dict").
_WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "weights",
    "params",
    "module",
)
_DEEPEST = 3
_LONGEST_REASON = 160
_LONGEST_KEY = 1000  # characters of a tensor's name
_LONGEST_SHOWN = 80


def load_weights(net: nn.Module, path: str | os.PathLike[str]) -> None:
    """Load the weights at `path` into `net`, which keeps its own float type.

    Prefixes such as `module.`, `_orig_mod.` and a Lightning module's `model.` are stripped and auxiliary
    heads dropped; the rest is strict. After an error the network is unchanged.

    Raises:
        CheckpointError: the file cannot be read (see `read_state_dict`), or does not fit: names that are
            missing or left over, other shapes, NaN or Inf.
    """
    path = Path(path)
    fitted = fit_state(read_state_dict(path), net.state_dict(), path.name)
    net.load_state_dict(fitted, strict=True)


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """The named tensors in a weights file, without the wrapping that training put around them.

    Names are as they are stored. The tensors are memory-mapped from the file: do not change the file
    while they are in use, and clone those to keep.

    Raises:
        CheckpointError: the file is missing, truncated, of another format or a program; it names something
            that is not data; or it has no state_dict.
    """
    path = Path(path)
    kind = identify(path)
    content = _read_safetensors(path) if kind is Kind.SAFETENSORS else _read_torch(path, kind)
    return _check_tensors(_unwrap(content, path.name), path.name)


def _read_safetensors(path: Path) -> Any:
    import safetensors
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"weights {path.name}: not readable as safetensors ({_short(error)}); copy or download it again"
        ) from error


def _read_torch(path: Path, kind: Kind) -> Any:
    try:
        # Namespace is how the training scripts of torchvision and jetson-inference keep their arguments
        # beside the weights. It only holds attributes: creating one runs no code.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Mapping an archive costs no memory, and a tensor that is longer than the file is refused.
            mapped = kind is Kind.TORCH_ZIP
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:
        # A pickle is a program for a small virtual machine, so a damaged one can fail in any way.
        named = re.search(r"GLOBAL ([\w.]+)", str(error)) or re.search(r"function (<[^>]*>)", str(error))
        if named:
            raise CheckpointError(
                f"weights {path.name}: holds {named[1]}, which is not a dense tensor of numbers, so it was "
                "not loaded; if you trust it, save torch.save(net.state_dict(), 'weights.pth')"
            ) from error
        raise CheckpointError(
            f"weights {path.name}: not readable as a {kind.value} ({_short(error)}); "
            "it is truncated or damaged: copy or download it again"
        ) from error


def _unwrap(content: Any, name: str) -> Mapping[Any, Any]:
    for _ in range(_DEEPEST):
        if not isinstance(content, Mapping):
            break
        if any(isinstance(value, torch.Tensor) for value in content.values()):
            return content
        content = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), content)
    if isinstance(content, Mapping):
        keys = ", ".join(_shown(key) for key in list(content)[:8]) or "nothing"
        raise CheckpointError(
            f"weights {name}: no state_dict found; it holds {keys}; save net.state_dict() itself"
        )
    raise CheckpointError(
        f"weights {name}: holds a {type(content).__name__}, expected a state_dict: save net.state_dict()"
    )


def _check_tensors(state: Mapping[Any, Any], name: str) -> dict[str, torch.Tensor]:
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise CheckpointError(
                f"weights {name}: {_shown(key)!r} is a {type(value).__name__}, expected a tensor under a "
                "name; save net.state_dict() itself"
            )
        if len(key) > _LONGEST_KEY:
            raise CheckpointError(
                f"weights {name}: {_shown(key)} is a name of {len(key):,} characters, expected at most "
                f"{_LONGEST_KEY}; save net.state_dict() itself"
            )
        if value.layout is not torch.strided or value.is_quantized or value.is_complex() or value.is_meta:
            raise CheckpointError(
                f"weights {name}: {_shown(key)} is not a dense tensor of real numbers; save the float network"
            )
    return dict(state)


def _shown(key: object) -> str:
    return printable(str(key), _LONGEST_SHOWN)


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + "..."
