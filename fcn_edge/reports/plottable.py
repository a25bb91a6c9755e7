"""Text for figures: bounded, without mathematics, in characters that matplotlib's font has."""

from __future__ import annotations

from fcn_edge_runtime._text import printable

__all__ = ["plottable"]


def plottable(text: str, longest: int = 60) -> str:
    """Text for a figure. Characters that the font lacks become question marks.

    A text that is drawn needs `parse_math=False`, too: two dollar signs make a formula otherwise.

    Args:
        text: of any length and any characters.
        longest: characters of the result.
    """
    shown = printable(text, longest)
    if shown.isascii():
        return shown
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties()))
    return "".join(c if font.get_char_index(ord(c)) else "?" for c in shown)
