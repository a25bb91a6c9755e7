"""What PyTorch runs for an image of some size, recorded from shapes alone: nothing is computed.

The code of a network may decide by the size of its image, in ways that tracing does not see (`if not
torch.compiler.is_exporting()`). Which operations it runs, on what, and with which numbers is known within a
fraction of a second at any size, as torch's fake tensors have shapes alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from fcn_edge_export.verification.stripes import Operations

__all__ = ["OperationsAt"]


class OperationsAt:
    """What a network runs for one image of a height and width; None if its values decide that.

    Args:
        network: in evaluation mode; it is not changed.
        channels: of the image.
    """

    def __init__(self, network: nn.Module, channels: int) -> None:
        self._network = network
        self._channels = channels
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)

    def __call__(self, height: int, width: int) -> Operations | None:
        """At a size as the network sees it."""
        recorder = _Recorder(self._network)
        silent = contextlib.redirect_stdout(io.StringIO())
        try:
            with torch.no_grad(), self._fake, silent:
                x = torch.empty(1, self._channels, height, width)
                with recorder:
                    self._network(x)
        except Exception:  # noqa: BLE001 (a network may raise anything where its tensors have no values)
            return None
        return Operations(tuple(recorder.calls), recorder.work)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no type for it
    """Records each operation, with its arguments, the shapes of its results, and its multiply-accumulates."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.calls: list[tuple[Any, ...]] = []
        self.work = 0
        state = (*network.named_parameters(), *network.named_buffers())
        self._names: dict[int, Any] = {id(tensor): name for name, tensor in state}
        self._kept: list[Tensor] = []  # so that no other tensor gets the id of one that is named

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        kwargs = kwargs or {}
        given = [part for leaf in tree_leaves((args, kwargs)) for part in self._parts(leaf)]
        result = (
            _normalized(args[0])
            if func is torch.ops.aten.native_batch_norm.default
            else func(*args, **kwargs)
        )
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        for index, tensor in enumerate(made):
            self._names.setdefault(id(tensor), f"{len(self.calls)}.{index}")
            self._kept.append(tensor)
        shapes = [side for tensor in made for side in tensor.shape]
        self.calls.append((str(func), *given, "->", *shapes))
        if (count := flop_registry.get(func.overloadpacket)) is not None:
            self.work += count(*args, **kwargs, out_val=result) // 2
        return result

    def _parts(self, leaf: Any) -> Iterator[Any]:
        """An argument as numbers and words that can be compared with those of another size."""
        if not isinstance(leaf, Tensor):
            yield leaf if isinstance(leaf, (bool, int, float)) or leaf is None else str(leaf)
        elif id(leaf) in self._names or isinstance(leaf, FakeTensor):
            yield self._names.get(id(leaf), "image")
        else:
            with _disable_current_modes():  # a constant, which has values
                yield hashlib.sha256(leaf.detach().contiguous().numpy().tobytes()).hexdigest()


def _normalized(x: Tensor) -> tuple[Tensor, ...]:
    """Tensors of the shapes that a batch norm gives: to find them, torch would decompose it each time."""
    return torch.empty_like(x), x.new_empty(0), x.new_empty(0)
