"""How pixels become the network's input, checked: numbers on another scale than the pixels are refused.

    x = (pixel * scale - mean) / std

With the default scale pixels reach the mean as 0..1, so a mean of 123.675 was meant for 0..255. The file
would agree with PyTorch on inputs that the network was not trained on.
"""

from __future__ import annotations

from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card_input import DTYPE_SCALE, LARGEST_PIXEL, InputSpec

__all__ = ["check_normalization"]


def check_normalization(spec: InputSpec, where: str) -> None:
    """Do nothing where mean and std are of scaled pixels. Images of float32 may hold anything.

    Args:
        spec: of a model that is to be exported.
        where: what the message calls it, such as "the card".

    Raises:
        UsageError: a mean outside the range of scaled pixels, a std larger than that range, or both in 0..1
            where pixels are not scaled.
    """
    largest = LARGEST_PIXEL.get(spec.dtype)
    if largest is None:
        return
    top = largest * spec.scale
    reach = f"a pixel of {spec.dtype} is 0 to {largest}, scaled 0 to {top:.6g}"
    wrong = [value for value in spec.mean if not 0 <= value <= top * (1 + 1e-6)]
    wide = [value for value in spec.std if value > top * (1 + 1e-6)]
    if wrong or wide:
        which = f"a mean of {wrong[0]:g}" if wrong else f"a std of {wide[0]:g}"
        raise UsageError(f"{where} has {which}, but {reach}: {_remedy(spec, largest)}")
    scaled = max(spec.mean) <= 1 and max(spec.std) <= 1 and (max(spec.mean) > 0 or max(spec.std) < 1)
    if spec.scale == 1 and scaled:
        raise UsageError(
            f"{where} has mean {_list(spec.mean)} and std {_list(spec.std)}, but {reach}: "
            f"leave the scale at 1/{largest} if these are of pixels from 0 to 1"
        )


def _remedy(spec: InputSpec, largest: int) -> str:
    values = (*spec.mean, *spec.std)
    default = DTYPE_SCALE[spec.dtype]
    if spec.scale != default or min(values) < 0 or max(values) > largest:
        return "give mean and std of scaled pixels"
    mean, std = ([value * default for value in group] for group in (spec.mean, spec.std))
    divided = f"mean {_divided(spec.mean, mean, largest)}, std {_divided(spec.std, std, largest)}"
    return f"divide both by {largest}, {divided}; or set scale = 1 on a card"


def _divided(given: tuple[float, ...], quotient: list[float], by: int) -> str:
    pairs = list(dict.fromkeys(zip(given, quotient, strict=True)))[:4]
    return " ".join(f"{value:g} / {by} = {result:.4g}" for value, result in pairs)


def _list(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in dict.fromkeys(values))
