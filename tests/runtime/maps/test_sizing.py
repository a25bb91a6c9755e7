"""What a map may take of the memory."""

import pytest

from fcn_edge_runtime.maps import sizing

GIB = 1 << 30


@pytest.mark.parametrize(
    ("held", "free", "expected"),
    [(0, 16 * GIB, GIB), (GIB // 4, 16 * GIB, GIB), (2 * GIB, 16 * GIB, 3 * GIB), (0, GIB, GIB // 2)],
)
def test_a_program_that_holds_much_still_makes_maps(monkeypatch, held, free, expected):
    monkeypatch.setattr(sizing, "used_bytes", lambda: held)
    monkeypatch.setattr(sizing, "available_bytes", lambda: free)
    assert sizing.default_memory() == expected
