"""Checks of the options that the networks share, with the same messages for all."""

from __future__ import annotations

from fcn_edge_runtime.errors import UsageError

__all__ = ["at_least_one", "one_of"]


_MOST = 65535


def at_least_one(**values: int) -> None:
    """Refuse any keyword whose value is not an integer from 1 to 65535, as classes and channels are.

    Raises:
        UsageError: the message names the keyword and its value.
    """
    for name, value in values.items():
        # bool is an int to Python, but `num_classes=True` is a mistake.
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST:
            raise UsageError(f"{name} is {value!r}, expected an integer from 1 to {_MOST}")


def one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    """Refuse a value that is not among those allowed.

    Raises:
        UsageError: the message lists the allowed values.
    """
    if value not in allowed:
        raise UsageError(f"{name} is {value!r}, expected one of {', '.join(map(str, allowed))}")
