"""Tiles are the image in one piece, at sizes that Hypothesis draws around multiples."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.maps.exactness import compared
from tests.runtime.maps.test_tiles import KINDS, image_for, in_tiles, networks, path_of, too_close

__all__ = ["networks"]  # a fixture

WHOLE = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@st.composite
def sides(draw, network, most):
    """A side of an image: a multiple of a stride, of a tile, or of both, and what is just off it."""
    unit = network.reach.unit
    near = draw(st.sampled_from([1, unit, 16, 3 * unit, 32 + unit, 40, 2 * 40, network.reach.margin]))
    return max(1, min(most, near * draw(st.integers(1, 4)) + draw(st.integers(-2, 2))))


def check(network, data, segmenter):
    height, width = (data.draw(sides(network, 200), name) for name in ("height", "width"))
    core = tuple(data.draw(st.sampled_from([8, 16, 17, 32, 40]), "tile") for _ in range(2))
    image = image_for(network.card, height, width, data.draw(st.integers(0, 8), "seed"))
    labels, _ = in_tiles(network, image, core)
    wrong = labels != segmenter(image).labels
    if wrong.any():
        wrong &= ~too_close(network, image)
    assert not wrong.any(), int(wrong.sum())
    assert compared(network, network.scores_session(), image, core).largest == 0


def at_many_sizes(networks, kind, count):
    network = networks(kind)
    with Segmenter(path_of(kind), "cpu", 1, outputs=("labels",)) as segmenter:

        @settings(WHOLE, max_examples=count)
        @given(st.data())
        def run(data):
            check(network, data, segmenter)

        run()


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_are_exact_at_sizes_around_multiples(networks, kind):
    at_many_sizes(networks, kind, 4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_tiles_are_exact_at_forty_such_sizes(networks, kind):
    at_many_sizes(networks, kind, 40)
