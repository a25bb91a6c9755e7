"""Functions of PyTorch that freeze sizes when they are traced, rewritten with sizes as they are at run time.

Some functions take Python's numbers where a network gives them sizes of its image: the kernel of a pooling
over the whole map, the length of a linspace, a scale computed from the size. Others have no ONNX operator
for every size. Each is replaced, while the network is traced, by the same numbers computed in another way.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._sympy.functions import Mod, PythonMod

from fcn_edge_export.decisions import Decisions
from fcn_edge_export.known_values import KnownValues
from fcn_edge_export.masked_writes import MaskedWrites, filled
from fcn_edge_export.resampling import adaptive_avg_pool2d, adaptive_max_pool2d, resize
from fcn_edge_runtime.errors import ArtifactError

__all__ = ["Rewrites"]

_SYMBOLS = (torch.SymInt, torch.SymFloat)
_OFFSETS = {"nearest": 0.0, "nearest-exact": 0.5}  # of a pixel's place in the resized map


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
        given = dict(_given(F.pad, args, kwargs))
        x, pad = given.pop("input"), given.pop("pad")
        amounts = self.decisions.amounts(x, pad)
        return (x, [_to_whole(x.shape[-1 - i // 2], amount) for i, amount in enumerate(amounts)]), given


def _to_whole(side: Any, amount: Any) -> Any:
    """`(7 - side % 7) % 7`, padding to whole windows, in a form whose sum with the side is simple.

    The side becomes 7 * ((side + 6) // 7). As it is written, torch carries one remainder of another through
    all later layers, and compares shapes for many minutes.
    """
    if not isinstance(side, torch.SymInt) or not isinstance(amount, torch.SymInt):
        return amount
    found = amount.node.expr
    if not isinstance(found, (Mod, PythonMod)) or not found.args[1].is_Integer:
        return amount
    value, window = found.args
    to_side = (-side.node.expr, *(-kind(side.node.expr, window) for kind in (Mod, PythonMod)))
    if window == 2:
        to_side += (side.node.expr,)
    if not any((value - other) % window == 0 for other in to_side):
        return amount
    size = int(window)
    return size * ((side + (size - 1)) // size) - side


def _given(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    bound = inspect.signature(func).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def _pair(value: Any) -> tuple[Any, Any]:
    return (value[0], value[-1]) if isinstance(value, (tuple, list, torch.Size)) else (value, value)


def _symbolic(*values: Any) -> bool:
    return any(isinstance(v, _SYMBOLS) for value in values for v in _flat(value))


def _flat(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _linspace(func: Any, args: Any, kwargs: Any) -> Any:
    """Start + i (end - start) / (steps - 1); from the end in the second half, as PyTorch does."""
    del func
    given = dict(zip(("start", "end", "steps"), args, strict=False)) | kwargs
    start, end, steps = (given.pop(name) for name in ("start", "end", "steps"))
    if not _symbolic(start, end, steps):
        return NotImplemented
    options = {name: given[name] for name in ("dtype", "device") if given.get(name) is not None}
    dtype = options.pop("dtype", torch.get_default_dtype())
    index = torch.arange(steps, **options).to(dtype)
    last = torch.sym_max(steps - 1, 1)  # type: ignore[no-untyped-call]  # torch has no type for it
    step = (end - start) / last
    return torch.where(index < steps // 2, start + step * index, end - step * (steps - 1 - index))


def _arange(func: Any, args: Any, kwargs: Any) -> Any:
    """Start + i step, where one of them is no whole number: ONNX counts in one type alone."""
    given = dict(zip(("start", "end", "step") if len(args) > 1 else ("end",), args, strict=False)) | kwargs
    start, end, step = given.pop("start", 0), given.pop("end"), given.pop("step", 1)
    if not _symbolic(start, end, step) or all(isinstance(n, (int, torch.SymInt)) for n in (start, end, step)):
        return NotImplemented
    dtype = given.pop("dtype", None) or torch.get_default_dtype()
    whole = isinstance(start, float) and step == 1 and isinstance(end, (int, torch.SymInt))
    count = end - math.floor(start) if whole else math.ceil((end - start) / step)
    return start + func(count, **given).to(dtype) * step


def _avg_pool2d(func: Any, args: Any, kwargs: Any) -> Any:
    """A mean, where the kernel is the whole map."""
    del func
    x, kernel = (kwargs.get("input") if "input" in kwargs else args[0]), kwargs.get("kernel_size")
    kernel = _pair(args[1] if kernel is None else kernel)
    if not _symbolic(kernel) or not _is_whole(x, kernel):
        return NotImplemented
    return x.mean(dim=(-2, -1), keepdim=True)


def _max_pool2d(func: Any, args: Any, kwargs: Any) -> Any:
    """A maximum, where the kernel is the whole map."""
    del func
    x, kernel = (kwargs.get("input") if "input" in kwargs else args[0]), kwargs.get("kernel_size")
    kernel = _pair(args[1] if kernel is None else kernel)
    if not _symbolic(kernel) or not _is_whole(x, kernel):
        return NotImplemented
    return x.amax(dim=(-2, -1), keepdim=True)


def _is_whole(x: Tensor, kernel: tuple[Any, Any]) -> bool:
    return all(bool(k == side) for k, side in zip(kernel, x.shape[-2:], strict=True))


def _adaptive_max(func: Any, args: Any, kwargs: Any) -> Any:
    del func
    if kwargs.get("return_indices") or len(args) > 2:
        return NotImplemented
    x, size = (kwargs.get("input") if "input" in kwargs else args[0]), kwargs.get("output_size")
    return adaptive_max_pool2d(x, _cells(x, args[1] if size is None else size))


def _adaptive_avg(func: Any, args: Any, kwargs: Any) -> Any:
    del func
    x, size = (kwargs.get("input") if "input" in kwargs else args[0]), kwargs.get("output_size")
    return adaptive_avg_pool2d(x, _cells(x, args[1] if size is None else size))


def _cells(x: Tensor, size: Any) -> tuple[Any, Any]:
    """The output size of an adaptive pooling; None keeps that of the input."""
    height, width = (
        side if cells is None else cells for cells, side in zip(_pair(size), x.shape[-2:], strict=True)
    )
    return height, width


def _interpolate(func: Any, args: Any, kwargs: Any) -> Any:
    """Two matrix products, where the filter has no ONNX operator or the scale is computed from the size.

    Nearest neighbors are gathered where ONNX's may be others.
    """
    given = _given(func, args, kwargs)
    x, mode, factor = given["input"], given["mode"], given["scale_factor"]
    if mode in _OFFSETS and given["size"] is not None and x.dim() == 4:
        size, sides = _pair(given["size"]), tuple(x.shape[2:])
        alike = (_exact_in_onnx(*both, exact=mode != "nearest") for both in zip(sides, size, strict=True))
        return NotImplemented if _symbolic(sides) and all(alike) else _nearest(x, size, offset=_OFFSETS[mode])
    filtered = given["antialias"] or mode == "bicubic"
    known = mode in ("bilinear", "bicubic", "nearest")
    if x.dim() != 4 or not known or not (filtered or _symbolic(factor)):
        return NotImplemented
    sides = x.shape[-2:]
    if given["size"] is not None:
        size, ratios = _pair(given["size"]), (None, None)
    else:
        factors = _pair(factor)
        size = tuple(math.floor(side * f) for side, f in zip(sides, factors, strict=True))
        ratios = (None, None) if given["recompute_scale_factor"] else tuple(1 / f for f in factors)
    if mode == "nearest":
        return _nearest(x, size, ratios)
    return resize(
        x,
        size,
        ratios,
        cubic=mode == "bicubic",
        antialias=given["antialias"],
        align_corners=bool(given["align_corners"]),
    )


def _exact_in_onnx(side: Any, grown: Any, *, exact: bool) -> bool:
    """Whether ONNX's nearest neighbors, which divide by out / in, are PyTorch's, which multiply by in / out.

    They differ by rounding where a source lies on the border of a pixel, but for factors of two. None lies
    there if the sizes have no common divisor: if they differ by one, or one is twice the other but for one.
    Of "nearest-exact", whose pixels have centers, one may even then.
    """
    symbols = isinstance(side, torch.SymInt) and isinstance(grown, torch.SymInt)
    if symbols and any(grown.node.expr == factor * side.node.expr for factor in (1, 2, 4, 8, 16, 32)):
        return True
    now, then = (int(n.node.hint if isinstance(n, torch.SymInt) else n) for n in (side, grown))
    return not exact and (abs(now - then) <= 1 or 2 * now - then in (0, 1))


def _nearest(
    x: Tensor, size: tuple[Any, Any], ratios: tuple[Any, Any] = (None, None), offset: float = 0.0
) -> Any:
    """Pixel i is floor((i + offset) * float32(in / out)), as PyTorch rounds it."""
    if not _symbolic(size, tuple(x.shape[2:])):
        return NotImplemented
    for axis, length, ratio in zip((2, 3), size, ratios, strict=True):
        side = x.shape[axis]
        cell = torch.arange(length, dtype=torch.float32, device=x.device)
        cell = cell + offset if offset else cell
        source = torch.floor(cell * (side / length if ratio is None else ratio)).to(torch.int64)
        x = x.index_select(axis, source.clamp(max=side - 1))
    return x


def _affine_grid(func: Any, args: Any, kwargs: Any) -> Any:
    """Centers of pixels from -1 to 1, or of the outermost ones, turned by each image's matrix."""
    given = _given(func, args, kwargs)
    theta, size = given["theta"], given["size"]
    if len(size) != 4 or not _symbolic(tuple(size)):
        return NotImplemented
    rows, columns = (_from_minus_one(side, theta, bool(given["align_corners"])) for side in size[2:])
    height, width = size[2:]
    across, down = columns.expand(height, width), rows[:, None].expand(height, width)
    base = torch.stack([across, down, torch.ones_like(across)], dim=-1).reshape(1, height * width, 3)
    return (base @ theta.transpose(1, 2)).reshape(theta.shape[0], height, width, 2)


def _from_minus_one(side: Any, like: Tensor, align_corners: bool) -> Any:  # noqa: FBT001 (PyTorch's own)
    index = torch.arange(side, device=like.device).to(like.dtype)
    if align_corners:
        last = torch.sym_max(side - 1, 1)  # type: ignore[no-untyped-call]  # torch has no type for it
        return index * (2 / last) - 1
    return (2 * index + 1) / side - 1


def _unfold(func: Any, args: Any, kwargs: Any) -> Any:
    """Patches, by a convolution with one kernel for each pixel of a patch."""
    given = _given(func, args, kwargs)
    x, kernel = given["input"], _pair(given["kernel_size"])
    if x.dim() != 4:
        return NotImplemented
    weight = _patch_kernels(x, kernel)
    patches = F.conv2d(
        x,
        weight,
        stride=given["stride"],
        padding=given["padding"],
        dilation=given["dilation"],
        groups=x.shape[1],
    )
    return patches.flatten(2)


def _fold(func: Any, args: Any, kwargs: Any) -> Any:
    """Patches summed at their places, by the transposed convolution of the same kernels."""
    given = _given(func, args, kwargs)
    x, kernel = given["input"], _pair(given["kernel_size"])
    if x.dim() != 3:
        return NotImplemented
    size, step = _pair(given["output_size"]), _pair(given["stride"])
    pad, dilation = _pair(given["padding"]), _pair(given["dilation"])
    grid = [(size[i] + 2 * pad[i] - dilation[i] * (kernel[i] - 1) - 1) // step[i] + 1 for i in (0, 1)]
    channels = x.shape[1] // (kernel[0] * kernel[1])
    patches = x.reshape(x.shape[0], x.shape[1], *grid)
    weight = _patch_kernels(torch.empty(1, channels, 1, 1, dtype=x.dtype, device=x.device), kernel)
    whole = F.conv_transpose2d(
        patches, weight, stride=step, output_padding=0, groups=channels, dilation=dilation
    )
    # Pixels right and below of the last patch belong to none.
    missing = [size[i] + 2 * pad[i] - whole.shape[-2 + i] for i in (0, 1)]
    whole = F.pad(whole, (0, missing[1], 0, missing[0])) if _symbolic(missing) or any(missing) else whole
    return whole[..., pad[0] : pad[0] + size[0], pad[1] : pad[1] + size[1]]


def _patch_kernels(like: Tensor, kernel: tuple[int, int]) -> Tensor:
    """[C * h * w, 1, h, w]: for each channel, one kernel that picks each pixel of an h x w patch."""
    pixels = kernel[0] * kernel[1]
    one = torch.eye(pixels, dtype=like.dtype, device=like.device).reshape(pixels, 1, *kernel)
    return one.repeat(like.shape[1], 1, 1, 1)


def _conv2d(func: Any, args: Any, kwargs: Any) -> Any:
    """By a product for each group, where their number is computed: kernels of each image's own."""
    del func
    names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    given = dict(zip(names, args, strict=False)) | kwargs
    x, weight, bias, groups = given["input"], given["weight"], given.get("bias"), given.get("groups", 1)
    padding = given.get("padding", 0)
    if not _symbolic(groups) or isinstance(padding, str):
        return NotImplemented
    kernel, step, reach = weight.shape[2:], _pair(given.get("stride", 1)), _pair(given.get("dilation", 1))
    x = F.pad(x, [amount for amount in reversed(_pair(padding)) for _ in range(2)])
    down, right = ((x.shape[2 + i] - reach[i] * (kernel[i] - 1) - 1) // step[i] + 1 for i in (0, 1))
    shifted = [
        x[:, :, i * reach[0] :: step[0], j * reach[1] :: step[1]][:, :, :down, :right]
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]
    inputs = weight.shape[1] * len(shifted)
    patches = torch.stack(shifted, dim=2).reshape(x.shape[0], groups, inputs, down * right)
    products = weight.reshape(1, groups, -1, inputs) @ patches
    result = products.reshape(x.shape[0], weight.shape[0], down, right)
    return result if bias is None else result + bias.reshape(1, -1, 1, 1)


def _recurrent(func: Any, args: Any, kwargs: Any) -> Any:
    """Refused at once: tracing would take every step of it apart."""
    del args, kwargs
    name = func.__name__.partition("_")[0].upper()
    raise ArtifactError(
        f"trace: the network has a recurrent layer ({name}), which is not on the list of what a file may "
        "hold: replace it by convolutions or attention"
    )


def _conv_transpose2d(func: Any, args: Any, kwargs: Any) -> Any:
    """With a computed output padding: as much as there may be, and the rest cut off."""
    names = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
    given = dict(zip(names, args, strict=False)) | kwargs
    extra = _pair(given.get("output_padding", 0))
    if not _symbolic(extra):
        return NotImplemented
    step, dilation = _pair(given.get("stride", 1)), _pair(given.get("dilation", 1))
    most = [max(step[i], dilation[i]) - 1 for i in (0, 1)]
    whole = func(**{**given, "output_padding": most})
    height, width = (whole.shape[-2 + i] - most[i] + extra[i] for i in (0, 1))
    return whole[..., :height, :width]


def _group_norm(func: Any, args: Any, kwargs: Any) -> Any:
    """By means of means: onnxruntime adds up all pixels in one go, off by 4e-4 at 4 megapixels."""
    given = _given(func, args, kwargs)
    x, groups = given["input"], given["num_groups"]
    if x.dim() != 4 or not _symbolic(tuple(x.shape[2:])):
        return NotImplemented
    channels, height, width = x.shape[1:]
    grouped = x.reshape(x.shape[0], groups, channels // groups, height, width)
    normal = _standardized(grouped, given["eps"]).reshape(x.shape)
    return _scaled(normal, given["weight"], given["bias"])


def _instance_norm(func: Any, args: Any, kwargs: Any) -> Any:
    """As `_group_norm`, for each channel."""
    given = _given(func, args, kwargs)
    x = given["input"]
    if x.dim() != 4 or not _symbolic(tuple(x.shape[2:])) or not given["use_input_stats"]:
        return NotImplemented
    return _scaled(_standardized(x, given["eps"]), given["weight"], given["bias"])


def _standardized(x: Tensor, eps: float) -> Tensor:
    """Mean 0 and variance 1 over all axes behind the second."""
    centered = x - _mean(x)
    return centered / torch.sqrt(_mean(centered * centered) + eps)


def _mean(x: Tensor) -> Tensor:
    """Over all axes behind the second: of each row first, then of the means, which keeps float32's digits."""
    for axis in range(x.dim() - 1, 1, -1):
        x = x.mean(dim=axis, keepdim=True)
    return x


def _scaled(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        x = x * weight.reshape(1, -1, 1, 1)
    return x if bias is None else x + bias.reshape(1, -1, 1, 1)


def _with_tensor(func: Any, args: Any, kwargs: Any) -> Any:
    """A remainder or quotient by a size, which becomes a tensor: operators take no computed number."""
    if len(args) != 2 or not isinstance(args[0], Tensor) or not isinstance(args[1], torch.SymInt):
        return NotImplemented
    size: Any = args[1]
    return func(args[0], torch.full((), size, dtype=args[0].dtype, device=args[0].device), **kwargs)


def _masked_fill(func: Any, args: Any, kwargs: Any) -> Any:
    """By logic, where what is filled is true or false: onnxruntime chooses between numbers alone."""
    given = dict(zip(("input", "mask", "value"), args, strict=False)) | kwargs
    x, mask, value = (given.get(name) for name in ("input", "mask", "value"))
    if not isinstance(x, Tensor) or x.dtype != torch.bool or isinstance(value, Tensor) or mask is None:
        return NotImplemented
    found = filled(x, mask, value)
    return x.copy_(found) if func is Tensor.masked_fill_ else found


def _where(func: Any, args: Any, kwargs: Any) -> Any:
    """As `_masked_fill`, between two tensors."""
    del func
    if len(args) != 3 or kwargs or not all(isinstance(a, Tensor) and a.dtype == torch.bool for a in args):
        return NotImplemented
    condition, one, other = args
    return (condition & one) | (~condition & other)


def _data(func: Any, args: Any, kwargs: Any) -> Any:
    """The tensor without its history: the tracer takes `x.data` for a constant."""
    del func, kwargs
    return args[0].detach()


def _is_all_true(func: Any, args: Any, kwargs: Any) -> Any:
    """What `torch._check_tensor_all` asks, by an operator that ONNX has."""
    del func, kwargs
    return args[0].all()


_REMAINDERS = (
    *(getattr(torch, name) for name in ("remainder", "fmod", "div", "floor_divide")),
    *(
        getattr(Tensor, name)
        for name in ("remainder", "fmod", "div", "floor_divide", "__mod__", "__floordiv__")
    ),
)
_TABLE: dict[Any, Callable[[Any, Any, Any], Any]] = {
    Tensor.data.__get__: _data,  # type: ignore[attr-defined]  # a property that is made in C
    Tensor._is_all_true: _is_all_true,  # noqa: SLF001 (its only name)
    **dict.fromkeys((torch.masked_fill, Tensor.masked_fill, Tensor.masked_fill_), _masked_fill),
    **dict.fromkeys((torch.where, Tensor.where), _where),
    torch.linspace: _linspace,
    torch.arange: _arange,
    F.avg_pool2d: _avg_pool2d,
    F.max_pool2d: _max_pool2d,
    F.adaptive_avg_pool2d: _adaptive_avg,
    F.adaptive_max_pool2d: _adaptive_max,
    F.affine_grid: _affine_grid,
    F.interpolate: _interpolate,
    F.unfold: _unfold,
    F.fold: _fold,
    F.conv2d: _conv2d,
    **dict.fromkeys((torch.gru, torch.lstm, torch.rnn_tanh, torch.rnn_relu), _recurrent),
    F.conv_transpose2d: _conv_transpose2d,
    F.group_norm: _group_norm,
    F.instance_norm: _instance_norm,
    **dict.fromkeys(_REMAINDERS, _with_tensor),
}
