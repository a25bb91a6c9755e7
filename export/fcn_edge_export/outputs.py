"""Which of a network's outputs holds the logits: the only map, the one that was named, or a question.

Networks return a tensor, or a tuple, list, dict or object of several: auxiliary heads, features, depth. A
wrong choice would be exported and verified as if it were right, so nothing is chosen by position: where there
are several maps and neither their names nor the classes of the card tell, the caller must name one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from fcn_edge_runtime.errors import ArtifactError, UsageError

__all__ = ["choose_output", "maps_of", "pick_output"]

KNOWN = ("out", "logits")  # torchvision's name, and that of Hugging Face
DEPTH = 3  # of containers in containers


def maps_of(output: Any) -> dict[str, Tensor]:
    """The 4-dimensional float tensors in an output, by name: "out", "0", "aux.1"; "" for a tensor."""
    return {
        name: tensor
        for name, tensor in _leaves(output, "", DEPTH)
        if tensor.dim() == 4 and tensor.is_floating_point()
    }


def choose_output(output: Any, wanted: str | None = None, classes: int | None = None) -> str:
    """The name of the map that holds the logits.

    Args:
        output: what the network returned.
        wanted: the requested name, such as "0", "out" or "aux.1"; None chooses.
        classes: how many the card names; None if that is open.

    Raises:
        UsageError: there are several maps and nothing tells them apart, or none of the wanted name.
        ArtifactError: there is no map.
    """
    maps = maps_of(output)
    if not maps:
        raise ArtifactError(
            f"probe: the network returned {_described(output)}, expected logits [batch, classes, height, "
            "width]: as a tensor, or inside a tuple, list, dict or object"
        )
    listed = ", ".join(f"{name or 'the only one'}: {_shape(tensor)}" for name, tensor in maps.items())
    if wanted is not None:
        if wanted in maps:
            return wanted
        raise UsageError(f"the network has no output {wanted!r} that is a map, it has {listed}")
    if len(maps) == 1:
        return next(iter(maps))
    known = [name for name in KNOWN if name in maps]
    if known:
        return known[0]
    if classes is not None:
        channels = {classes} | ({1} if classes == 2 else set())
        fitting = [name for name, tensor in maps.items() if tensor.shape[1] in channels]
        if len(fitting) == 1:
            return fitting[0]
    raise UsageError(
        f"the network returns {len(maps)} maps ({listed}), and nothing says which holds the logits: name it "
        "with --output-name, or ExportOptions(output_name=...)"
    )


def pick_output(output: Any, name: str) -> Tensor:
    """The map of that name in an output.

    Raises:
        ArtifactError: it is not there this time.
    """
    for found, tensor in _leaves(output, "", DEPTH):
        if found == name and tensor.dim() == 4:
            return tensor
    raise ArtifactError(f"probe: the network returned {_described(output)}, without its output {name!r}")


def _leaves(output: Any, name: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    if isinstance(output, Tensor):
        yield name, output
        return
    if depth == 0:
        return
    if isinstance(output, Mapping):
        entries = [(str(key), value) for key, value in output.items()]
    elif isinstance(output, (tuple, list)):
        entries = [(str(index), value) for index, value in enumerate(output)]
    elif isinstance(getattr(output, "logits", None), Tensor):
        entries = [("logits", output.logits)]
    else:
        return
    for key, value in entries:
        yield from _leaves(value, f"{name}.{key}" if name else key, depth - 1)


def _described(output: Any) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of shape {list(output.shape)}"
    shapes = [_shape(tensor) for _, tensor in _leaves(output, "", DEPTH)]
    return f"{type(output).__name__}" + (f" of {', '.join(shapes[:4])}" if shapes else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(str(int(side)) for side in tensor.shape)
