"""Text from outside made safe to show: names of classes, nodes and files, messages of other libraries.

Whatever reaches a terminal, a page, a picture, a log or an error message goes through `printable`. Letters,
digits and emoji of every language are shown as they are. Shown as escapes are the characters that a display
obeys or hides: control characters and line breaks, changes of direction, invisible and unassigned characters,
halves of surrogate pairs, and accents piled on one letter.
"""

from __future__ import annotations

import unicodedata

__all__ = ["LONGEST", "printable", "printable_lines"]

LONGEST = 2000  # characters of a message; a path has up to 4096, and its ends tell it from others
_MOST_MARKS = 4  # on one letter; Vietnamese and Thai need two, Tibetan four
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")  # though letters, marks or symbols
_JOINERS = "\u200c\u200d"
_VARIATIONS = "\ufe0e\ufe0f"  # a symbol as text or as a picture
_EMOJI_BASES = "#*0123456789"


def printable(text: str, longest: int = LONGEST) -> str:
    """Text in one line that any display shows and none obeys.

    Args:
        text: of any length and any characters.
        longest: characters of the result, at least 8; of longer text the middle is left out.
    """
    if len(text) > longest:  # before its characters are looked at, of which there may be millions
        text = _without_middle(text, longest)
    if text.isascii() and text.isprintable():
        return text
    shown, marks, before = [], 0, ""
    for index, character in enumerate(text):
        kind = unicodedata.category(character)
        marks = marks + 1 if kind[0] == "M" else 0
        after = text[index + 1 : index + 2]
        harmless = _harmless(character, kind, before, after) and marks <= _MOST_MARKS
        shown.append(character if harmless else _escaped(character))
        before = character
    safe = "".join(shown)
    return safe if len(safe) <= longest else _without_middle(safe, longest)


def printable_lines(text: str, most: int = 200) -> str:
    """Text of several lines, such as a traceback: each line printable, the last `most` of them."""
    lines = text.splitlines()
    return "\n".join(printable(line) for line in lines[-most:])


def _harmless(character: str, kind: str, before: str, after: str) -> bool:
    if character in _JOINERS:
        return _joined(before) and _joined(after)
    if character in _VARIATIONS:
        return before != "" and (before in _EMOJI_BASES or unicodedata.category(before)[0] == "S")
    if 0xFE00 <= ord(character) <= 0xFE0D or 0xE0100 <= ord(character) <= 0xE01EF:
        return False
    return character not in _INVISIBLE and (character.isprintable() or kind == "Zs")


def _joined(character: str) -> bool:
    """Whether it is of a script, or an emoji, that is written with joiners. Latin letters are not."""
    return character != "" and (
        character in _VARIATIONS or unicodedata.category(character) in ("Lo", "Mn", "Mc", "So", "Sk")
    )


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]


def _without_middle(text: str, longest: int) -> str:
    head = (longest - 5) * 2 // 3
    return f"{text[:head]} ... {text[head + 5 - longest :]}"
