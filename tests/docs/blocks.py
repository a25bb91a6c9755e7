"""The code blocks of a Markdown page, and what a test does with each.

A block's language decides: `python` and `bash` run, a block with a `title="NAME"` is written to that file,
the rest is for reading. A comment on the line before a block changes that; readers of the page never see it:

    <!-- test: skip, REASON -->   cannot run here; its options are still checked
    <!-- test: slow -->           runs in `make test-all` only; its options are always checked
    <!-- test: exits N -->        the last command ends with this exit code
    <!-- test: until Ctrl-C -->   runs until it is interrupted, a few seconds after its start
    <!-- test: output -->         what the block before printed, but for numbers and spaces; `...` is anything
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Block", "blocks_of", "commands_of", "pages", "pattern_of"]

ROOT = Path(__file__).parents[2]
_MARKER = re.compile(r"<!-- test: (?P<kind>skip|slow|exits|until|output)\b,?\s*(?P<rest>.*?) -->")
_FENCE = re.compile(r"^```(?P<info>.*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_NUMBER = re.compile(r"\d+(\.\d+)?(e[-+]?\d+)?")


@dataclass(frozen=True)
class Block:
    """One fenced block: the page and line it stands on, its language, file name, marker and text."""

    page: str
    line: int
    language: str
    title: str
    marker: str
    detail: str
    text: str

    @property
    def place(self):
        return f"{self.page}:{self.line}"


def pages():
    """Every page whose blocks are run: README.md and all of docs/, as paths from the root."""
    found = ["README.md", *(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
    return sorted(found)


def blocks_of(page):
    """The blocks of a page, in order; a marker that belongs to no block is an error."""
    found, opened, marker = [], None, ("", "")
    for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            info = fence["info"].strip()
            title = _TITLE.search(info)
            opened = (number, info.partition(" ")[0], title[1] if title else "", [])
        elif fence:
            start, language, title, lines = opened
            found.append(Block(page, start, language, title, *marker, "\n".join(lines) + "\n"))
            opened, marker = None, ("", "")
        elif opened is not None:
            opened[3].append(line)
        elif "<!-- test:" in line:
            match = _MARKER.fullmatch(line.strip())
            assert match, f"{page}:{number}: got the marker {line!r}, expected one of tests/docs/blocks.py"
            marker = (match["kind"], match["rest"])
        elif line.strip():
            assert not marker[0], f"{page}:{number}: expected a block below the marker, got {line!r}"
    assert opened is None, f"{page}: the last block is never closed"
    return found


def commands_of(block):
    """The command lines of a shell block, continued lines joined, without comments."""
    joined = block.text.replace("\\\n", " ")
    lines = (re.sub(r"(^|\s)#\s.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]


def pattern_of(output):
    """A regular expression for output like this, but for numbers, spacing and what `...` stands for."""
    number = re.escape("\0")
    plain = re.escape(_NUMBER.sub("\0", " ".join(output.split())))
    return re.compile(plain.replace(number, _NUMBER.pattern).replace(re.escape("..."), ".*?"), re.DOTALL)
