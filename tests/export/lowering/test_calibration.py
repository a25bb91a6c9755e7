from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fcn_edge_export.lowering.calibration import cut, inspect_frames
from fcn_edge_export.verification.cases import Case
from fcn_edge_runtime.imaging.frames import evenly
from fcn_edge_runtime.model.card import Card, Geometry, WorkingSize
from tests.export.parents import blocks

CARD = Card("net")


def numbered(height, width):
    """An image (1, H, W, 2) that holds each pixel's row and column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns], -1)[None]


def part(height, width, most, card=CARD, place=0):
    return cut(Case("frame", lambda: numbered(height, width)), card, most, place).image()


def test_a_frame_above_the_limit_is_cut_and_not_shrunk():
    image = part(300, 400, 300 * 400 // 4)
    assert image.shape == (1, 150, 200, 2)
    assert image[0, 0, 0].tolist() == [75, 100]
    assert image[0, -1, -1].tolist() == [224, 299]


def test_parts_of_several_frames_cover_all_of_the_image():
    corners = {tuple(part(300, 400, 30_000, place=place)[0, 0, 0]) for place in range(5)}
    assert corners == {(75, 100), (0, 0), (0, 200), (150, 0), (150, 200)}


@pytest.mark.parametrize("working", [WorkingSize((1, 2), None), WorkingSize(None, (30, 40))])
def test_what_the_network_sees_small_is_not_cut(working):
    card = replace(CARD, working_size=working)
    assert part(300, 400, 30_000, card).shape == (1, 300, 400, 2)


def test_a_part_is_no_smaller_than_the_network_takes():
    card = replace(CARD, geometry=Geometry(smallest_size=100))
    assert part(300, 400, 100, card).shape == (1, 100, 100, 2)


def test_the_same_frame_is_always_cut_at_the_same_place():
    frames = {f"{i}": (lambda i=i: blocks(1100, 1300, seed=i)) for i in range(3)}
    held_out = {"other": lambda: blocks(seed=9)}
    one = inspect_frames(frames, held_out, CARD)
    other = inspect_frames(dict(reversed(frames.items())), held_out, CARD)
    parts = [{case.name: case.image() for case in found.calibrated} for found in (one, other)]
    for name, image in parts[0].items():
        assert image.shape[1] * image.shape[2] <= 1 << 20
        assert (image == parts[1][name]).all()
    assert one.held_out[0].image().shape == (1, 48, 64, 3)


def test_frames_are_chosen_evenly():
    frames = {str(i): (lambda: None) for i in range(10)}
    assert list(evenly(frames, 4)) == ["0", "2", "5", "7"]
    assert list(evenly(frames, 10)) == list(evenly(frames, 99)) == list(frames)
    assert evenly({}, 3) == {}
