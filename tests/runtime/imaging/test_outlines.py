"""Outlines that are made band by band are those of the whole map."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("hypothesis")
pytest.importorskip("rasterio")
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize, shapes

from fcn_edge_runtime.imaging.outlines import outlines

NOTHING = 255


def canonical(ring):
    """A ring from its first corner on, in one direction."""
    points = [tuple(map(int, point)) for point in ring]
    area = sum(a[0] * b[1] - a[1] * b[0] for a, b in zip(points, points[1:] + points[:1], strict=True))
    if area < 0:
        points.reverse()
    start = points.index(min(points))
    return tuple(points[start:] + points[:start])


def of_bands(labels, rows):
    bands = [labels[first : first + rows] for first in range(0, len(labels), rows)]
    found = list(outlines(bands, NOTHING))
    return sorted((o.label, canonical(o.rings[0]), tuple(sorted(map(canonical, o.rings[1:])))) for o in found)


def of_gdal(labels):
    found = []
    for shape, label in shapes(labels, labels != NOTHING, connectivity=4):
        outer, *holes = (canonical(ring[:-1]) for ring in shape["coordinates"])
        found.append((int(label), outer, tuple(sorted(holes))))
    return sorted(found)


@settings(deadline=None, derandomize=True, database=None, max_examples=60)
@given(st.data())
def test_bands_give_the_outlines_of_the_whole(data):
    height, width = data.draw(st.integers(1, 14)), data.draw(st.integers(1, 14))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    labels = rng.choice(data.draw(st.sampled_from([[0, 1], [0, 1, 2], [1, NOTHING], [3]])), (height, width))
    labels = labels.astype(np.uint8)
    assert of_bands(labels, data.draw(st.integers(1, 5))) == of_gdal(labels)


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_outlines_paint_the_map_again(rows):
    rng = np.random.default_rng(rows)
    labels = np.kron(rng.choice([0, 1, 2, NOTHING], (20, 30)), np.ones((5, 4))).astype(np.uint8)
    found = list(outlines([labels[first : first + rows] for first in range(0, 100, rows)], NOTHING))
    polygons = [
        (
            {"type": "Polygon", "coordinates": [[*ring.tolist(), ring[0].tolist()] for ring in o.rings]},
            o.label,
        )
        for o in found
    ]
    assert (rasterize(polygons, labels.shape, fill=NOTHING, dtype=np.uint8) == labels).all()


def test_outlines_that_end_in_a_band_leave_it():
    labels = np.zeros((8, 8), np.uint8)
    labels[1:3, 1:3] = labels[5:7, 5:7] = 1
    left = []

    def bands():
        for first in range(0, 8, 4):
            yield labels[first : first + 4]
            left.append(len(found))

    found = []
    found.extend(outlines(bands(), NOTHING))
    assert left == [1, 2]
