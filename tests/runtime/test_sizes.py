from __future__ import annotations

import pytest

from fcn_edge_runtime import UsageError
from fcn_edge_runtime._sizes import parse_size, size_text


@pytest.mark.parametrize("text", ["480x640", " 480X640 "])
def test_a_size_is_height_and_width(text):
    assert parse_size(text) == (480, 640)
    assert size_text(parse_size(text)) == "480x640"


@pytest.mark.parametrize(
    "text", ["", "480", "480x", "0x5", "-1x5", "4.5x5", "1x2x3", "\u0664x\u0665", "1000000x1", "a\nx"]
)
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match="expected HEIGHTxWIDTH such as 480x640"):
        parse_size(text)
