"""Functions of PyTorch that freeze sizes when they are traced, rewritten with sizes as they are at run time.

Some functions take Python's numbers where a network gives them sizes of its image: the kernel of a pooling
over the whole map, the length of a linspace, a scale computed from the size. Others have no ONNX operator
for every size. Each is replaced, while the network is traced, by the same numbers computed in another way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fcn_edge_export.decisions import Decisions
from fcn_edge_export.known_values import KnownValues
from fcn_edge_export.masked_writes import MaskedWrites
from fcn_edge_export.rewrites.arguments import given_to
from fcn_edge_export.rewrites.attention import attention
from fcn_edge_export.rewrites.convolutions import conv2d, conv_transpose2d, fold, unfold
from fcn_edge_export.rewrites.counting import arange, linspace, whole_with_tensor, with_tensor
from fcn_edge_export.rewrites.logic import data, is_all_true, masked_fill, shape_as_tensor, where
from fcn_edge_export.rewrites.norms import group_norm, instance_norm
from fcn_edge_export.rewrites.padding import to_whole
from fcn_edge_export.rewrites.pooling import adaptive_avg, adaptive_max, extreme, pool
from fcn_edge_export.rewrites.resizing import affine_grid, interpolate
from fcn_edge_export.stand_ins import real_function
from fcn_edge_runtime.errors import ArtifactError

__all__ = ["Rewrites"]


class Rewrites(TorchFunctionMode):
    """While it is active, functions are rewritten where their arguments need it.

    Args:
        net: what is traced.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.decisions = Decisions()
        self.known = KnownValues(net)
        self.masked = MaskedWrites()

    def __enter__(self) -> Any:
        self.decisions.__enter__()
        return super().__enter__()  # type: ignore[no-untyped-call]  # torch has no type for it

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]  # as above
        self.decisions.__exit__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        func = real_function(func)
        if func is Tensor.__iter__:
            return iter(self.__torch_function__(torch.unbind, (), args))
        if (answer := self.known.answer(func, args)) is not NotImplemented:
            return answer
        if self.masked.write(func, args):
            return None
        if func is F.pad:
            args, kwargs = self._padded(args, kwargs or {})
        rewrite = _TABLE.get(func)
        result = NotImplemented if rewrite is None else rewrite(func, args, kwargs or {})
        if result is NotImplemented:
            result = func(*args, **(kwargs or {}))
        self.masked.follow(func, args, result)
        if isinstance(result, Tensor):
            self.decisions.clear()
        self.known.follow(func, args, kwargs or {}, result)
        return result

    def _padded(self, args: Any, kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        given = dict(given_to(F.pad, args, kwargs))
        x, pad = given.pop("input"), given.pop("pad")
        amounts = self.decisions.amounts(x, pad)
        return (x, [to_whole(x.shape[-1 - i // 2], amount) for i, amount in enumerate(amounts)]), given


def _recurrent(func: Any, args: Any, kwargs: Any) -> Any:
    """Refused at once: tracing would take every step of it apart."""
    del args, kwargs
    name = func.__name__.partition("_")[0].upper()
    raise ArtifactError(
        f"trace: the network has a recurrent layer ({name}), which is not on the list of what a file may "
        "hold: replace it by convolutions or attention"
    )


# By which functions a tensor meets a number. Tensor's own have other names for Python's operators.
_REMAINDERS = tuple(
    getattr(owner, name)
    for owner, names in (
        (torch, ("remainder", "fmod", "div", "floor_divide", "pow")),
        (Tensor, ("remainder", "fmod", "div", "floor_divide", "pow")),
        (Tensor, ("__mod__", "__floordiv__", "__rmod__", "__pow__")),
    )
    for name in names
)
_PRODUCTS = tuple(
    getattr(owner, name)
    for owner, names in ((torch, ("mul", "sub", "rsub")), (Tensor, ("mul", "sub", "__rsub__")))
    for name in names
)
_TABLE: dict[Any, Callable[[Any, Any, Any], Any]] = {
    Tensor.data.__get__: data,  # type: ignore[attr-defined]  # a property that is made in C
    Tensor._is_all_true: is_all_true,  # noqa: SLF001 (its only name)
    torch._shape_as_tensor: shape_as_tensor,  # noqa: SLF001 (its only name)
    **dict.fromkeys((torch.masked_fill, Tensor.masked_fill, Tensor.masked_fill_), masked_fill),
    **dict.fromkeys((torch.where, Tensor.where), where),
    torch.linspace: linspace,
    torch.arange: arange,
    **dict.fromkeys((F.avg_pool1d, F.avg_pool2d, F.max_pool1d, F.max_pool2d), pool),
    **dict.fromkeys((torch.max_pool1d, torch.max_pool2d), pool),
    **dict.fromkeys((F.max_pool1d_with_indices, F.max_pool2d_with_indices), pool),
    F.adaptive_avg_pool2d: adaptive_avg,
    F.adaptive_max_pool2d: adaptive_max,
    **dict.fromkeys((torch.amax, torch.amin, Tensor.amax, Tensor.amin), extreme),
    F.affine_grid: affine_grid,
    F.interpolate: interpolate,
    F.unfold: unfold,
    F.fold: fold,
    F.conv2d: conv2d,
    **dict.fromkeys((torch.gru, torch.lstm, torch.rnn_tanh, torch.rnn_relu), _recurrent),
    F.conv_transpose2d: conv_transpose2d,
    F.group_norm: group_norm,
    F.instance_norm: instance_norm,
    F.scaled_dot_product_attention: attention,
    **dict.fromkeys(_REMAINDERS, with_tensor),
    **dict.fromkeys(_PRODUCTS, whole_with_tensor),
}
