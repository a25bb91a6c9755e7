from __future__ import annotations

import time

import pytest

from fcn_edge_runtime._text import printable, printable_lines
from fcn_edge_runtime.errors import InputError

HONEST = (
    "road",
    "Straße",
    "道路",
    "дорога",
    "할머니",
    "ถนนใหญ่ที่นี่",
    "đường phố Việt",
    "می‌روم",
    "क्षेत्र",
    "🚗 car",
    "👨‍👩‍👧",
    "❤️",
    "1️⃣",
    "a\u3000b",
    "x" * 2000,
)
HOSTILE = {
    "line\nbreak": r"line\nbreak",
    "\x1b[31mred": r"\x1b[31mred",
    "\x9b31m": r"\x9b31m",
    "bell\a": r"bell\x07",
    "\u202egnp.exe": r"\u202egnp.exe",
    "\u2066isolated": r"\u2066isolated",
    "ze\u200bro": r"ze\u200bro",
    "join\u200ded": r"join\u200ded",
    "\ufeffmark": r"\ufeffmark",
    "\u3164": r"\u3164",
    "half\ud800": r"half\ud800",
    "tag\U000e0041": r"tag\U000e0041",
    "line\u2028separator": r"line\u2028separator",
    "va\ufe00riation": r"va\ufe00riation",
}


@pytest.mark.security("honest names of every language", "shown as they are")
@pytest.mark.parametrize("text", HONEST)
def test_honest_text_is_shown_as_it_is(text):
    assert printable(text) == text


@pytest.mark.security("control, direction and invisible characters in any text", "escaped")
@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_display_obeys_or_hides_is_escaped(text):
    assert printable(text) == HOSTILE[text]


@pytest.mark.security("text of any length, thousands of accents on a letter", "bounded")
@pytest.mark.parametrize("text", ["x" * 10**7, "\x1b" * 10**6, "e" + "\u0301" * 10**6, "\ud800" * 10**6])
@pytest.mark.parametrize("longest", [8, 60, 2000])
def test_text_of_any_length_is_bounded(text, longest):
    start = time.process_time()
    shown = printable(text, longest)
    assert len(shown) <= longest
    assert shown.isprintable() or "\u0301" in shown
    assert shown.count("\u0301") <= 4
    assert time.process_time() - start < 0.5


def test_both_ends_of_a_long_text_are_kept():
    shown = printable("begin " + "x" * 500 + " end", 40)
    assert shown.startswith("begin x")
    assert shown.endswith("x end")
    assert " ... " in shown


def test_a_traceback_keeps_its_last_lines():
    text = printable_lines("\n".join(f"line {i} \x1b[2J" for i in range(1000)), most=3)
    assert text.splitlines() == [rf"line {i} \x1b[2J" for i in (997, 998, 999)]


def test_every_error_is_one_printable_line():
    shown = str(InputError("the file \x1b]0;title\a\nhas\tno pixels" + "!" * 10**6))
    assert shown.startswith(r"the file \x1b]0;title\x07 has no pixels!")
    assert len(shown) <= 2000
