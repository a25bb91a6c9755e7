"""The last place before a terminal: what is written to stdout and stderr is shown there, not obeyed."""

from __future__ import annotations

import sys
from typing import Any

from fcn_edge_runtime._text import printable

__all__ = ["PrintableStream", "unfiltered"]


class PrintableStream:
    """A text stream that escapes what `printable` does; lines and tabs stay. The rest is the stream's."""

    def __init__(self, stream: Any) -> None:
        self.unfiltered = stream

    def write(self, text: str) -> int:
        """Write text, each of its lines made printable. Returns the number of characters."""
        if not (text.isascii() and text.replace("\n", "").isprintable()):
            text = "\n".join(
                "\t".join(printable(part, sys.maxsize) for part in line.split("\t"))
                for line in text.split("\n")
            )
        return int(self.unfiltered.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unfiltered, name)


def unfiltered(stream: Any) -> Any:
    """The stream below a `PrintableStream`, for what draws with control sequences of its own."""
    return getattr(stream, "unfiltered", stream)
