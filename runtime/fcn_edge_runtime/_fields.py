"""Reading one JSON object field by field: each has its type and range, or an error names it.

    fields = Fields.parse(text, 1 << 16, ProfileError, "the profile", "run `fcn-edge tune` again")
    fields.object("options").integer("threads", 1, 1024)

For the value 0 that is a ProfileError in one line with what was got, what was expected, and what to do:

    the profile: field 'options.threads' is 0, expected a whole number from 1 to 1024: run `fcn-edge ...
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from fcn_edge_runtime.errors import FcnEdgeError

__all__ = ["Fields"]

T = TypeVar("T")
Key = str | int  # of an object, or the index in a list

MAX_INTEGER = 2**31 - 1
_SHOWN = 60  # characters of a wrong value in a message
# What `str.isprintable` refuses, and writing needs: line breaks and tabs in prose; the spaces of typography
# and of East Asia, and the joiners of Indic, Persian and Arabic words and of emoji.
_BREAKS = dict.fromkeys(map(ord, "\n\r\t"), " ")
_HARMLESS = dict.fromkeys(map(ord, "\u00a0\u2009\u202f\u3000\u200c\u200d"), " ")
_HEX = frozenset("0123456789abcdef")


class Fields:
    """The fields of one JSON object, or the items of one list by their index.

    Every method that reads a field raises the document's error if it is missing or not as expected.

    Attributes:
        values: what the object holds, as `json.loads` gave it.
    """

    __slots__ = ("_error", "_fix", "_place", "_subject", "values")

    def __init__(
        self,
        values: Mapping[Any, Any],
        error: type[FcnEdgeError],
        subject: str,
        fix: str = "",
        where: str = "",
    ) -> None:
        self.values = values
        self._error, self._subject, self._fix = error, subject, fix
        self._place: str | tuple[Fields, Key] = where  # a path is made of parents only for a message

    @classmethod
    def of(cls, value: object, error: type[FcnEdgeError], subject: str, fix: str = "") -> Fields:
        """The fields of a value that must be an object.

        Args:
            value: from JSON or TOML.
            error: the class to raise.
            subject: what messages call the whole, such as "the card".
            fix: what to do about an error, such as "export again"; empty adds nothing.
        """
        document = cls({}, error, subject, fix)
        if not isinstance(value, dict):
            document.fail(f"is {_shown(value)}, expected an object")
        document.values = value
        return document

    @classmethod
    def parse(
        cls, text: str | bytes, most: int, error: type[FcnEdgeError], subject: str, fix: str = ""
    ) -> Fields:
        """The fields of an object in JSON of at most `most` bytes; see `of`."""
        document = cls({}, error, subject, fix)
        if len(text) > most:
            document.fail(f"has {len(text)} bytes, expected at most {most}")
        try:
            value = json.loads(text)
            if _has_surrogates(text):
                json.dumps(value, ensure_ascii=False).encode()  # half a pair is JSON but not text
        except (ValueError, RecursionError) as reason:
            document.fail(f"is not JSON ({reason})")
        return cls.of(value, error, subject, fix)

    def fail(self, words: str) -> NoReturn:
        """Raise the document's error: its subject, these words, and what to do."""
        raise self._error(f"{self._subject} {words}{self._advice}") from None

    def refuse(self, key: Key, got: object, expected: str) -> NoReturn:
        """Raise the error for a field whose value is not what is expected."""
        where = f"{self._subject}: field '{self.path(key)}'"
        raise self._error(f"{where} is {_shown(got)}, expected {expected}{self._advice}") from None

    @property
    def _advice(self) -> str:
        return f": {self._fix}" if self._fix else ""

    def path(self, key: Key) -> str:
        """What messages call a field: "geometry.stride", "classes[3].name"."""
        where = self._place if isinstance(self._place, str) else self._place[0].path(self._place[1])
        if isinstance(key, int):
            return f"{where}[{key}]"
        return f"{where}.{key}" if where else key

    def _within(self, key: Key, values: Mapping[Any, Any]) -> Fields:
        inner = Fields(values, self._error, self._subject, self._fix)
        inner._place = (self, key)
        return inner

    def __contains__(self, key: Key) -> bool:
        return key in self.values

    def get(self, key: Key) -> Any:
        """The value as it is; None if it is missing."""
        return self.values.get(key)

    def schema(self, expected: str) -> None:
        """Check the field `schema`."""
        if self.get("schema") != expected:
            self.refuse("schema", self.get("schema"), f"{expected!r} (a newer one needs a newer fcn-edge)")

    def only(self, known: Iterable[str]) -> None:
        """Check that there are no other fields than these: an unknown one must not be ignored in silence."""
        names = sorted(known)
        for key in self.values:
            if key not in names:
                raise self._error(
                    f"{self._subject}: field '{self.path(key)}' is unknown, "
                    f"expected only {', '.join(names)}{self._advice}"
                )

    def object(self, key: Key) -> Fields:
        """An object's fields."""
        value = self.get(key)
        if not isinstance(value, dict):
            self.refuse(key, value, "an object")
        return self._within(key, value)

    def optional(self, key: Key, read: Callable[[Fields, Key], T]) -> T | None:
        """What `read` makes of a field; None where it is missing or null."""
        return None if self.get(key) is None else read(self, key)

    def sequence(
        self,
        key: Key,
        read: Callable[[Fields, int], T],
        low: int = 0,
        high: int | None = None,
        of: str = "entries",
    ) -> tuple[T, ...]:
        """What `read(items, index)` makes of each item of a list of `low` to `high` items, called `of`."""
        value = self.get(key)
        if not isinstance(value, list) or not low <= len(value) <= (len(value) if high is None else high):
            counts = f"at least {low}" if high is None else str(low) if low == high else f"{low} to {high}"
            self.refuse(key, value, "a list" if low == 0 and high is None else f"a list of {counts} {of}")
        items = self._within(key, dict(enumerate(value)))
        return tuple([read(items, index) for index in items.values])

    def text(self, key: Key) -> str:
        """Any text."""
        value = self.get(key)
        if not isinstance(value, str):
            self.refuse(key, value, "text")
        return value

    def line(self, key: Key, most: int, least: int = 0) -> str:
        """Text of `least` to `most` characters that may be printed on a terminal, in one line."""
        value = self.get(key)
        if not isinstance(value, str) or not least <= len(value) <= most or not _printable(value):
            counts = f"{least} to {most}" if least else f"at most {most}"
            self.refuse(key, value, f"printable text of {counts} characters")
        return value

    def prose(self, key: Key, most: int) -> str:
        """Text of at most `most` characters, perhaps of several lines, without other control characters."""
        value = self.get(key)
        lines = value.translate(_BREAKS) if isinstance(value, str) else None
        if lines is None or len(lines) > most or not _printable(lines):
            self.refuse(key, value, f"text of at most {most} characters")
        return str(value)

    def lines(self, key: Key, entries: int, most: int) -> dict[str, str]:
        """An object of at most `entries` texts, as `line`; its keys are such texts, too."""
        inner = self.object(key)
        if len(inner.values) > entries or not all(_printable(name[: most + 1]) for name in inner.values):
            self.refuse(key, inner.values, f"an object of at most {entries} printable texts")
        return {name: inner.line(name, most) for name in inner.values}

    def one_of(self, key: Key, allowed: Sequence[str]) -> str:
        """One of a few texts."""
        value = self.get(key)
        if not isinstance(value, str) or value not in allowed:
            self.refuse(key, value, allowed[0] if len(allowed) == 1 else f"one of {', '.join(allowed)}")
        return value

    def digest(self, key: Key) -> str:
        """A SHA-256 as 64 lower-case hex digits."""
        value = self.get(key)
        if not isinstance(value, str) or len(value) != 64 or not _HEX.issuperset(value):
            self.refuse(key, value, "64 lower-case hex digits")
        return value

    def integer(self, key: Key, low: int = 0, high: int = MAX_INTEGER) -> int:
        """A whole number from `low` to `high`."""
        value = self.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.refuse(key, value, f"a whole number from {low} to {high}")
        return value

    def number(self, key: Key, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number from `low` to `high`."""
        number = self._finite(key)
        if number is None or not low <= number <= high:
            expected = "a finite number" if math.isinf(low) else f"a number from {low:g} to {high:g}"
            self.refuse(key, self.get(key), expected)
        return number

    def positive(self, key: Key) -> float:
        """A finite number above 0."""
        number = self._finite(key)
        if number is None or number <= 0:
            self.refuse(key, self.get(key), "a finite number above 0")
        return number

    def _finite(self, key: Key) -> float | None:
        value = self.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            with contextlib.suppress(OverflowError):  # JSON's whole numbers have no limit
                number = float(value)
                return number if math.isfinite(number) else None
        return None

    def boolean(self, key: Key) -> bool:
        """True or false."""
        value = self.get(key)
        if not isinstance(value, bool):
            self.refuse(key, value, "true or false")
        return value


def _printable(text: str) -> bool:
    """No control characters, line breaks or changes of direction; spaces and joiners of any script may be."""
    return text.isprintable() or text.translate(_HARMLESS).isprintable()


def _has_surrogates(text: str | bytes) -> bool:
    """Whether a JSON text may have halves of characters, as escapes or as they are."""
    escape = "\\ud" in text.lower() if isinstance(text, str) else b"\\ud" in text.lower()
    return escape or not text.isascii()


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
