"""What a map may take of the memory."""

from types import SimpleNamespace

import pytest

from fcn_edge_runtime.errors import UsageError
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


CARD = SimpleNamespace(input=SimpleNamespace(channels=3, dtype="uint8"), classes=[0] * 5)
NETWORK = SimpleNamespace(around=640, fixed=None, overlap=None, probabilities=False, card=CARD)


@pytest.fixture
def plan(monkeypatch):
    monkeypatch.setattr(sizing, "_bytes_a_pixel", lambda *_: 60.0)
    monkeypatch.setattr(sizing, "used_bytes", lambda: 100 << 20)
    return lambda height, width, memory=GIB: sizing.plan_for(NETWORK, height, width, memory)


@pytest.mark.parametrize(
    ("size", "core"),
    [((700, 2000), (1024, 2048)), ((3061, 4021), (3072, 2048)), ((20_000, 20_000), (2048, 2560))],
)
def test_tiles_are_those_whose_windows_have_the_fewest_pixels(plan, size, core):
    assert plan(*size).core == core


def test_less_memory_gives_smaller_tiles_and_then_an_error(plan):
    assert plan(20_000, 20_000, GIB // 2).core == (1024, 1024)
    with pytest.raises(UsageError, match=r"expected at least 3\d\d MiB"):
        plan(20_000, 20_000, GIB // 4)
