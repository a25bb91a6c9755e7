"""Labels as runs."""

from __future__ import annotations

import numpy as np
import pytest

from fcn_edge_runtime.maps.runs import Runs

IDS = np.array([0, 1, 7, 300])


@pytest.mark.parametrize("size", [(1, 1), (3, 1), (1, 5), (300, 70)])
@pytest.mark.parametrize("noise", [0.0, 0.05, 1.0])
def test_runs_are_the_labels(size, noise):
    rng = np.random.default_rng(0)
    labels = np.full(size, 7, np.uint16)
    labels[rng.random(size) < noise] = 300
    labels[:, size[1] // 2] = 0
    runs = Runs.of(labels)
    again = Runs.from_bytes(runs.to_bytes(), "uint16", size)
    assert again.expanded().dtype == labels.dtype
    assert (again.expanded() == labels).all()
    assert (again.counted(IDS) == (labels[..., None] == IDS).sum(axis=1)).all()
