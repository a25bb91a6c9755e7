"""Which of a network's outputs holds the logits: the only map, the one that was named, or a question.

Networks return a tensor, or a tuple, list, dict or object of several: auxiliary heads, features, depth. A
wrong choice would be exported and verified as if it were right, so nothing is chosen by position: where there
are several maps and neither their names nor the classes of the card tell, the caller must name one.

A map has four axes, [batch, classes, height, width]; where there is none, three will do: one score a pixel.
A network that returns labels gives a map by request alone: 1 for the class of each pixel, 0 elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from fcn_edge_runtime.errors import ArtifactError, UsageError

__all__ = ["choose_output", "maps_of", "pick_output"]

# Names of logits, as torchvision, Hugging Face, Detectron2 and others have them; the first that is there.
KNOWN = ("out", "logits", "sem_seg", "seg", "seg_logits", "masks")
DEPTH = 3  # of containers in containers


def maps_of(output: Any, size: tuple[int, int] | None = None) -> dict[str, Tensor]:
    """The float maps in an output, by name: "out", "0", "aux.1"; "" for a tensor.

    Args:
        output: what the network returned.
        size: (height, width) of the image, of which a map with three axes has a whole fraction.
    """
    leaves = {name: t for name, t in _leaves(output, "", DEPTH) if t.is_floating_point()}
    maps = {name: tensor for name, tensor in leaves.items() if tensor.dim() == 4}
    if maps or size is None:
        return maps
    return {name: tensor for name, tensor in leaves.items() if tensor.dim() == 3 and _covers(tensor, size)}


def choose_output(
    output: Any,
    wanted: str | None = None,
    classes: int | None = None,
    *,
    size: tuple[int, int] | None = None,
    labels: bool = False,
) -> str:
    """The name of the map that holds the logits.

    Args:
        output: what the network returned.
        wanted: the requested name, such as "0", "out" or "aux.1"; None chooses.
        classes: how many the card names; None if that is open.
        size: (height, width) of the image.
        labels: take class ids instead.

    Raises:
        UsageError: there are several maps and nothing tells them apart, none of the wanted name, or labels.
        ArtifactError: there is no map.
    """
    ids = _labels_of(output)
    maps = ids if labels else maps_of(output, size)
    if not maps and ids and not labels:
        raise UsageError(
            f"the network returns class ids ({_listed(ids)}), not their scores: let it return what it takes "
            "the argmax of, or take its labels as they are: --take-labels"
        )
    if not maps:
        expected = "class ids [batch, height, width]" if labels else "logits [batch, classes, height, width]"
        raise ArtifactError(
            f"probe: the network returned {_described(output)}, expected {expected}: as a tensor, or inside "
            "a tuple, list, dict or object"
        )
    if wanted is not None:
        if wanted in maps:
            return wanted
        raise UsageError(f"the network has no output {wanted!r} that is a map, it has {_listed(maps)}")
    if len(maps) == 1:
        return next(iter(maps))
    inside = {name.partition(".")[0] for name in maps}
    prefix = f"{next(iter(inside))}." if len(inside) == 1 else ""  # of all: a dict in a tuple of one
    known = [f"{prefix}{name}" for name in KNOWN if f"{prefix}{name}" in maps]
    if known:
        return known[0]
    if classes is not None:
        channels = {classes} | ({1} if classes == 2 else set())
        fitting = [name for name, tensor in maps.items() if tensor.dim() == 4 and tensor.shape[1] in channels]
        if len(fitting) == 1:
            return fitting[0]
    raise UsageError(
        f"the network returns {len(maps)} maps ({_listed(maps)}), and nothing says which holds the logits: "
        "name it with --output-name, or ExportOptions(output_name=...)"
    )


def pick_output(output: Any, name: str, one_hot: int | None = None) -> Tensor:
    """The map of that name in an output, [batch, classes, height, width] in the default type, float32.

    Args:
        output: what the network returned.
        name: see `choose_output`.
        one_hot: of how many classes the output holds labels; None is scores.

    Raises:
        ArtifactError: it is not there this time.
    """
    for found, tensor in _leaves(output, "", DEPTH):
        if found != name or tensor.dim() not in (3, 4):
            continue
        scores = tensor.unsqueeze(1) if tensor.dim() == 3 else tensor
        if one_hot is not None:
            scores = scores == torch.arange(one_hot, device=scores.device).view(1, -1, 1, 1)
        return scores if scores.dtype == torch.get_default_dtype() else scores.to(torch.get_default_dtype())
    raise ArtifactError(f"probe: the network returned {_described(output)}, without its output {name!r}")


def _labels_of(output: Any) -> dict[str, Tensor]:
    """Whole numbers [batch, height, width] or [batch, 1, height, width]."""
    return {
        name: tensor
        for name, tensor in _leaves(output, "", DEPTH)
        if not tensor.is_floating_point()
        and not tensor.is_complex()
        and (tensor.dim() == 3 or (tensor.dim() == 4 and tensor.shape[1] == 1))
    }


def _covers(tensor: Tensor, size: tuple[int, int]) -> bool:
    """Whether the last two axes are those of the image, or the same whole fraction of both."""
    factors = [round(side / got) if got else 0 for side, got in zip(size, tensor.shape[-2:], strict=True)]
    return factors[0] == factors[1] and all(
        factor > 0 and got in (side // factor, -(-side // factor))
        for factor, side, got in zip(factors, size, tensor.shape[-2:], strict=True)
    )


def _leaves(output: Any, name: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    if isinstance(output, Tensor):
        yield name, output
        return
    if depth == 0:
        return
    if isinstance(output, Mapping):
        entries = [(str(key), value) for key, value in output.items()]
    elif hasattr(output, "_fields"):  # a named tuple
        entries = [(str(key), getattr(output, key)) for key in output._fields]
    elif isinstance(output, (tuple, list)):
        entries = [(str(index), value) for index, value in enumerate(output)]
    else:
        entries = [(key, value) for key, value in getattr(output, "__dict__", {}).items() if key[:1] != "_"]
    for key, value in entries:
        yield from _leaves(value, f"{name}.{key}" if name else key, depth - 1)


def _listed(maps: Mapping[str, Tensor]) -> str:
    return ", ".join(f"{name or 'the only one'}: {_shape(tensor)}" for name, tensor in maps.items())


def _described(output: Any) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of shape {list(output.shape)}"
    shapes = [_shape(tensor) for _, tensor in _leaves(output, "", DEPTH)]
    return f"{type(output).__name__}" + (f" of {', '.join(shapes[:4])}" if shapes else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(str(int(side)) for side in tensor.shape)
