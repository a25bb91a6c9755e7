"""A network that another library saved, with what it saved beside the weights."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fcn_edge.nets.building import NetSpec
from fcn_edge_runtime._files import read_regular
from fcn_edge_runtime.errors import CheckpointError, UsageError

__all__ = ["SavedNet", "library", "read_json", "saved_folder"]

MOST_BYTES = 4 << 20  # of a JSON file


@dataclass(frozen=True)
class SavedNet:
    """A saved network: nothing is built yet.

    Attributes:
        spec: builds it with its weights.
        card: name, description, classes and input, as in a card file.
        working_size: the size to which its preprocessing resizes images, as "512x512"; None is their own.
        notes: what its preprocessing does and the file does not, in words.
        weights: the file that `spec` does not load itself; None where it does.
        preprocessing: the file that states mean and std, if they are on the card.
    """

    spec: NetSpec
    card: Mapping[str, Any] = field(default_factory=dict)
    working_size: str | None = None
    notes: tuple[str, ...] = ()
    weights: str | None = None
    preprocessing: str = "preprocessor_config.json"


def library(module: str, package: str) -> Any:
    """A library that is no extra of ours: whoever has one of its networks has it, too.

    Raises:
        CheckpointError: it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except Exception as error:
        first = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{module} cannot be imported ({first}): its networks are built by it: `pip install {package}`"
        ) from error


def saved_folder(place: str) -> Path:
    """The folder that was named.

    Raises:
        UsageError: there is none.
    """
    folder = Path(place).expanduser()
    if not folder.is_dir():
        raise UsageError(f"there is no folder {place}: give the one that the network was saved to")
    return folder


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object; None if there is no such file.

    Raises:
        UsageError: it is too large, or holds anything else.
    """
    if not path.exists():
        return None
    try:
        found = json.loads(read_regular(path, MOST_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds no object: expected what save_pretrained writes")
    return found
