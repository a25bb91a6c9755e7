"""Hostile inputs by subject, and how each is opened.

A subject is a module of this folder with one `SUBJECT`; `SUBJECTS` lists them. It says how a good input is
made, what a user does with an input, and which hostile ones there are:

    def _gigantic(folder):
        path = folder / "gigantic.png"
        path.write_bytes(...)
        return path

    CASES = (Case("a gigantic PNG", _gigantic, ("InputError",)), ...)
    SUBJECT = Subject("pictures", good=_good, open=_open, cases=CASES)

`make` runs in the process that prints the table; `open` in a child of its own with limits on memory and time,
which has what `warm` imported. What a child did is its outcome: "opened", the class of our error, or a
sentence about anything else, which no case may expect: a traceback, a signal, no end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

OPENED = "opened"
SUBJECTS = ("models", "pictures", "checkpoints", "bags", "messages", "rasters", "volumes")


@dataclass(frozen=True)
class Case:
    """A hostile input.

    Attributes:
        name: what it is, as a reader of the table understands it.
        make: writes it into an empty folder and returns what `open` is given.
        expected: the outcomes that hold: classes of our errors, `OPENED`.
    """

    name: str
    make: Callable[[Path], Path]
    expected: tuple[str, ...]


@dataclass(frozen=True)
class Subject:
    """A kind of input.

    Attributes:
        name: in one word.
        good: writes a good input, with which the costs are compared.
        open: what a user does with an input. Returns nothing, or a sentence about what went wrong.
        cases: the hostile ones.
        warm: imports what `open` needs, once, before the children are forked; it must not start threads.
    """

    name: str
    good: Callable[[Path], Path]
    open: Callable[[Path], str | None]
    cases: tuple[Case, ...]
    warm: Callable[[], None] = lambda: None


def subject(name: str) -> Subject:
    """The subject of that name."""
    found = import_module(f"tests.hostile.{name}").SUBJECT
    assert isinstance(found, Subject)
    assert len({case.name for case in found.cases}) == len(found.cases), "two cases have one name"
    return found
