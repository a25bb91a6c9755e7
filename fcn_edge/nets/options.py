"""Options of a network as text: `KEY=VALUE` read against the signature of the callable that takes them."""

from __future__ import annotations

import contextlib
import inspect
import types
import typing
from typing import TYPE_CHECKING, Any

from fcn_edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["fit_options", "parse_settings"]

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_KEYWORDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def parse_settings(settings: Iterable[str]) -> dict[str, str]:
    """`["width=32", "name=a=b"]` -> `{"width": "32", "name": "a=b"}`; the values stay text.

    Raises:
        UsageError: no `=`, no key, or a key given twice.
    """
    found: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UsageError(f"option {setting!r} is not of the form KEY=VALUE")
        if key in found:
            raise UsageError(f"option {key!r} is given twice: {found[key]!r} and {value!r}")
        found[key] = value.strip()
    return found


def fit_options(target: Callable[..., object], options: Mapping[str, object], name: str) -> dict[str, object]:
    """Options as `target` takes them: text is parsed to the annotated type, anything else passes as it is.

    Without an annotation the type of the default counts; without either, the text is read as an int, a float,
    a bool or a str, in this order.

    Args:
        target: the callable that will get them as keyword arguments.
        options: by keyword.
        name: what to call the target in messages.

    Raises:
        UsageError: an unknown option, a value that is not of its type, or one that is required and not given.
    """
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):
        # Some callables written in C have no signature; they check their arguments themselves.
        return {key: _guess(value) if isinstance(value, str) else value for key, value in options.items()}
    takes = {key: each for key, each in parameters.items() if each.kind in _KEYWORDS}
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    hints = _hints(target)

    fitted: dict[str, object] = {}
    for key, value in options.items():
        if key not in takes and not takes_any:
            known = ", ".join(_show(each) for each in takes.values()) or "none"
            raise UsageError(f"{name} has no option {key!r}; its options: {known}")
        if isinstance(value, str):
            kind = hints.get(key, _kind_of_default(takes.get(key)))
            fitted[key] = _parse(value, kind, f"option {key} of {name}")
        else:
            fitted[key] = value
    for key, each in takes.items():
        if each.default is inspect.Parameter.empty and key not in fitted:
            raise UsageError(f"{name} needs the option {key!r}: give it with --set {key}=VALUE")
    return fitted


def _show(parameter: inspect.Parameter) -> str:
    return (
        parameter.name if parameter.default is parameter.empty else f"{parameter.name}={parameter.default!r}"
    )


def _hints(target: Callable[..., object]) -> dict[str, Any]:
    annotated = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(annotated)
    except Exception:  # noqa: BLE001 - annotations are the user's code; unreadable ones are ignored
        return {}


def _kind_of_default(parameter: inspect.Parameter | None) -> Any:
    if parameter is None or parameter.default is None or parameter.default is parameter.empty:
        return Any
    return type(parameter.default)


def _parse(text: str, kind: Any, what: str) -> object:
    kinds = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    # A number before a word: "1" is an int for `int | bool`. str accepts anything, so it is tried last.
    for each in sorted(kinds, key=lambda each: _ASK_LAST.get(each, 0)):
        with contextlib.suppress(ValueError):
            return _reader(each, what)(text)
    raise UsageError(f"{what} is {text!r}, expected {' or '.join(_spell(each) for each in kinds)}")


def _reader(kind: Any, what: str) -> Callable[[str], object]:
    """What reads one kind of value; it raises ValueError if the text is not one."""
    if typing.get_origin(kind) is typing.Literal:
        choices = {str(choice): choice for choice in typing.get_args(kind)}
        return lambda text: _choose(text, choices)
    if kind not in _READERS:
        raise UsageError(
            f"{what} takes {kind}, which cannot be given as text: only int, float, bool and str can be set"
        )
    return _READERS[kind]


def _choose(text: str, choices: Mapping[str, object]) -> object:
    if text.lower() in choices:
        return choices[text.lower()]
    if text in choices:
        return choices[text]
    raise ValueError(text)


def _read_bool(text: str) -> object:
    return _choose(text, dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False))


def _read_none(text: str) -> object:
    return _choose(text, {"none": None})


def _guess(text: str) -> object:
    for reader in (int, float, _read_bool, _read_none):
        with contextlib.suppress(ValueError):
            return reader(text)
    return text


def _spell(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(map(str, typing.get_args(kind)))
    return "none" if kind is type(None) else getattr(kind, "__name__", str(kind))


_READERS: dict[Any, Callable[[str], object]] = {
    Any: _guess,
    object: _guess,
    int: int,
    float: float,
    str: str,
    bool: _read_bool,
    type(None): _read_none,
}
_ASK_LAST: dict[Any, int] = {bool: 1, str: 2}
