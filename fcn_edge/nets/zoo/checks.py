"""Checks of the options that the networks share, with the same messages for all."""

from __future__ import annotations

from fcn_edge_runtime.errors import UsageError

__all__ = ["at_least_one", "one_of"]


def at_least_one(**values: int) -> None:
    """Refuse any keyword whose value is not an integer of 1 or more.

    Raises:
        UsageError: the message names the keyword and its value.
    """
    for name, value in values.items():
        # bool is an int to Python, but `num_classes=True` is a mistake.
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UsageError(f"{name} is {value!r}, expected an integer of 1 or more")


def one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    """Refuse a value that is not among those allowed.

    Raises:
        UsageError: the message lists the allowed values.
    """
    if value not in allowed:
        raise UsageError(f"{name} is {value!r}, expected one of {', '.join(map(str, allowed))}")
