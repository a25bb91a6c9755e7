"""Pickles of torch.save, run on paper before torch runs them.

A pickle is a program for a small virtual machine. `weights_only=True` keeps it from calling foreign code, but
not from costing memory and time: names that torch allows make zeros of any length, a tensor of the wrong size
enlarges its storage, and the hash of a tuple of tuples of tuples takes as long as it has leaves. Here every
step is followed with stand-ins, so that only what a state_dict needs is left: tensors within their storages,
containers, text and numbers; and keys of dictionaries that are text or numbers.
"""

from __future__ import annotations

import math
import pickletools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

__all__ = ["ForeignPickleError", "check_pickles"]

# Some 25 steps a tensor, a few hundred bytes of memory each.
_MOST_STEPS = 400_000
_MOST_BYTES = 16 << 20
_MOST_AXES = 16
_LARGEST_INT = 1 << 80  # torch's own mark at the start of a stream has 77 bits
_ELEMENT_BYTES = {
    **dict.fromkeys(("Double", "Long", "ComplexFloat"), 8),
    **dict.fromkeys(("Float", "Int", "QInt32"), 4),
    **dict.fromkeys(("Half", "Short", "BFloat16"), 2),
    "ComplexDouble": 16,
}
_TENSORS = (
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor_v3",
)
_NAMESPACE = "argparse Namespace"
_KEYS = (str, int, float, bytes, type(None))


class ForeignPickleError(Exception):
    """The pickle does what no state_dict needs. The message continues a sentence about the file.

    Attributes:
        names: the class or function that it names and that is no tensor; empty if it is something else.
    """

    def __init__(self, message: str, names: str = "") -> None:
        super().__init__(message)
        self.names = names


@dataclass(frozen=True, eq=False)
class _Name:
    """A class or function: "module name"."""

    text: str


@dataclass(frozen=True, eq=False)
class _Storage:
    """Numbers in the file."""

    elements: int


@dataclass(frozen=True, eq=False)
class _Made:
    """What a call returned."""

    by: str


class _Dict:
    """A dictionary, whose keys were checked."""


def check_pickles(stream: IO[bytes], count: int, size: int, records: Mapping[str, int] | None = None) -> None:
    """Follow consecutive pickles to their ends.

    Args:
        stream: at the first one.
        count: their number.
        size: bytes of the whole file, which holds all that they declare.
        records: bytes of each storage by its key, in an archive.

    Raises:
        ForeignPickleError: a step is not one that a state_dict needs.
        Exception: any other, as the pickle is truncated or damaged.
    """
    machine = _Machine(size, records)
    begin = stream.tell()
    for _ in range(count):
        machine.start()
        for operation, argument, _ in pickletools.genops(stream):
            machine.step(operation.name, argument)
            if stream.tell() - begin > _MOST_BYTES:
                raise ForeignPickleError(f"its pickle has more than {_MOST_BYTES:,} bytes")


class _Machine:
    """The stack and the memo, as torch's unpickler has them."""

    def __init__(self, size: int, records: Mapping[str, int] | None) -> None:
        self._size, self._records, self._steps, self._declared = size, records, 0, 0
        self._storages: set[str] = set()

    def start(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise ForeignPickleError(
                f"its pickle has more than {_MOST_STEPS:,} steps, more than tensors need"
            )
        known = _OPERATIONS.get(name)
        if known is None:
            raise ForeignPickleError(f"its pickle has the step {name}, which torch.save does not write")
        known(self, argument)

    def constant(self, argument: Any) -> None:
        if isinstance(argument, int) and abs(argument) >= _LARGEST_INT:
            raise ForeignPickleError("its pickle holds a number that torch.save does not write")
        self._stack.append(argument)

    def name(self, argument: str) -> None:
        self._stack.append(_Name(argument))

    def mark(self, _: Any) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._marks.pop()
        return items

    def tuple_since_mark(self, _: Any) -> None:
        items = tuple(self._since_mark())
        self._stack.append(items)

    def tuple_of(self, count: int) -> None:
        items = tuple(self._stack[-count:])
        if len(items) < count:
            raise IndexError
        self._stack[-count:] = [items]

    def append(self, _: Any) -> None:
        item = self._stack.pop()
        self._list().append(item)

    def extend(self, _: Any) -> None:
        items = self._since_mark()
        self._list().extend(items)

    def _list(self) -> list[Any]:
        if not isinstance(self._stack[-1], list):
            raise TypeError
        return self._stack[-1]

    def set_item(self, _: Any) -> None:
        _, key = self._stack.pop(), self._stack.pop()
        _check_keys([key])

    def set_items(self, _: Any) -> None:
        _check_keys(self._since_mark()[::2])

    def put(self, argument: int) -> None:
        self._memo[argument] = self._stack[-1]

    def get(self, argument: int) -> None:
        self._stack.append(self._memo[argument])

    def storage(self, _: Any) -> None:
        """A tensor's numbers, named by ("storage", type, key, place, number of elements[, view])."""
        given = self._stack.pop()
        view = given[5] if isinstance(given, tuple) and len(given) == 6 else None
        plain = view is None or (isinstance(view, tuple) and _are_scalars(view))
        if not (
            isinstance(given, tuple)
            and 5 <= len(given) <= 6
            and given[0] in ("storage", b"storage")
            and isinstance(given[1], _Name)
            and _are_scalars(given[2:5])
            and isinstance(given[4], int)
            and plain
        ):
            raise ForeignPickleError("its pickle names a storage as torch.save does not")
        key, elements = str(given[2])[:100], given[4]
        kind = re.fullmatch(r"torch(?:\.cuda|\.storage)? (\w+)Storage", given[1].text)
        octets = elements * _ELEMENT_BYTES.get(kind[1] if kind else "", 1)
        self._declared += 0 if key in self._storages else octets
        self._storages.add(key)
        if octets < 0 or max(octets, self._declared) > self._size:
            raise ValueError(f"it declares {max(octets, self._declared):,} bytes in a file of {self._size:,}")
        held = octets if self._records is None else self._records.get(key, 0)
        if octets > held:
            raise ValueError(f"storage {key} declares {octets:,} bytes, and the archive holds {held:,}")
        self._stack.append(_Storage(elements))

    def call(self, _: Any) -> None:
        arguments, function = self._stack.pop(), self._stack[-1]
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise ForeignPickleError("its pickle calls what is not a function")
        costs_nothing = _CALLS.get(function.text)
        if costs_nothing is None or not costs_nothing(*arguments):
            raise ForeignPickleError("", function.text.replace(" ", ".", 1))
        self._stack[-1] = _Dict() if function.text.startswith("collections ") else _Made(function.text)

    def new(self, _: Any) -> None:
        arguments, kind = self._stack.pop(), self._stack.pop()
        if not isinstance(kind, _Name) or kind.text != _NAMESPACE or arguments != ():
            raise ForeignPickleError(
                "", kind.text.replace(" ", ".", 1) if isinstance(kind, _Name) else "a class"
            )
        self._stack.append(_Made(_NAMESPACE))

    def build(self, _: Any) -> None:
        """Set the attributes of a Namespace, or of an OrderedDict: a state_dict's `_metadata`."""
        state, target = self._stack.pop(), self._stack[-1]
        takes = isinstance(target, _Dict) or (isinstance(target, _Made) and target.by == _NAMESPACE)
        if not takes or not isinstance(state, _Dict):
            raise ForeignPickleError("its pickle sets the state of what is not a dictionary")

    def stop(self, _: Any) -> None:
        self._stack.pop()


def _pairs(*given: Any) -> bool:
    """The argument of an OrderedDict: none, or Python 2's list of pairs."""
    if not given:
        return True
    good = len(given) == 1 and isinstance(given[0], list)
    if not good or any(not isinstance(pair, (list, tuple)) or len(pair) != 2 for pair in given[0]):
        return False
    _check_keys([pair[0] for pair in given[0]])
    return True


def _counts(*given: Any) -> bool:
    return not given or (len(given) == 1 and isinstance(given[0], _Dict))


def _octets(*given: Any) -> bool:
    """Bytes, as text in Latin-1; other codecs take long."""
    return len(given) == 2 and isinstance(given[0], str) and given[1] in ("latin1", "latin-1")


def _sides(*given: Any) -> bool:
    return len(given) == 1 and isinstance(given[0], (list, tuple)) and _are_scalars(given[0])


def _scalars(*given: Any) -> bool:
    return _are_scalars(given)


def _parameter(*given: Any) -> bool:
    return bool(given) and isinstance(given[0], _Made) and given[0].by in _TENSORS


def _tensor(*given: Any) -> bool:
    if len(given) < 4:
        return False
    _check_tensor(*given[:4])
    return True


def _check_tensor(storage: Any, offset: Any, size: Any, stride: Any) -> None:
    """Torch makes a storage larger where its tensor is, and a stride of 0 makes many numbers of one."""
    numbers = (size, stride)
    if not (
        isinstance(storage, _Storage)
        and all(isinstance(each, tuple) and all(type(n) is int and n >= 0 for n in each) for each in numbers)
        and type(offset) is int
        and offset >= 0
        and len(size) == len(stride) <= _MOST_AXES
    ):
        raise ForeignPickleError("its pickle makes a tensor as torch.save does not")
    count = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1 if count else 0
    if max(count, last) > storage.elements:
        raise ValueError(f"a tensor of {max(count, last):,} numbers in a storage of {storage.elements:,}")


def _check_keys(keys: list[Any]) -> None:
    if not _are_scalars(keys):
        raise ForeignPickleError("its pickle has a key of a dictionary that is neither text nor a number")


def _are_scalars(values: Any) -> bool:
    return all(isinstance(value, _KEYS) for value in values)


def _value(make: Any) -> Any:
    return lambda machine, _: machine.constant(make())


_OPERATIONS: dict[str, Any] = {
    "PROTO": lambda machine, _: None,  # noqa: ARG005 - an operation's form
    "STOP": _Machine.stop,
    "GLOBAL": _Machine.name,
    "MARK": _Machine.mark,
    "TUPLE": _Machine.tuple_since_mark,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "EMPTY_TUPLE": _value(tuple),
    "EMPTY_LIST": _value(list),
    "EMPTY_DICT": _value(_Dict),
    "NONE": _Machine.constant,
    "NEWTRUE": _value(lambda: True),
    "NEWFALSE": _value(lambda: False),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), _Machine.constant),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINSTRING"), _Machine.constant),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Machine.put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.get),
    "APPEND": _Machine.append,
    "APPENDS": _Machine.extend,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "BINPERSID": _Machine.storage,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.new,
    "BUILD": _Machine.build,
}

# What may be called, and whether these arguments cost no more than the pickle itself.
_CALLS: dict[str, Callable[..., bool]] = {
    "collections OrderedDict": _pairs,
    "collections Counter": _counts,
    "_codecs encode": _octets,
    "torch Size": _sides,
    "torch device": _scalars,
    "torch.serialization _get_layout": _scalars,
    "builtins complex": _scalars,
    "torch._utils _rebuild_parameter": _parameter,
    "torch._utils _rebuild_parameter_with_state": _parameter,
    **dict.fromkeys(_TENSORS, _tensor),
}
