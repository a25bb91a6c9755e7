from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fcn_edge.reports.contact_sheet import Tile, write_sheet
from fcn_edge.reports.plots import write_confusion
from fcn_edge_runtime.evaluation.evaluate import Evaluation
from fcn_edge_runtime.evaluation.metrics import scores_of
from fcn_edge_runtime.model.card import Card, ClassInfo

NAMES = ("Stra\u00dfe", "\u9053\u8def", "$\\frac{", "a\nb", "\u202e", "x" * 10**6, "e" + "\u0301" * 50_000)


def kinds(count):
    names = (*NAMES, *(f"class {i}" for i in range(count)))
    return tuple(ClassInfo(i, names[i], (i % 256, 80, 80)) for i in range(count))


def evaluation(count):
    matrix = np.random.default_rng(count).integers(0, 9, (count, count + 1))
    return Evaluation(Card("a $\\frac{ card", kinds(count)), "cpu", matrix, scores_of(matrix), ())


@pytest.mark.security("wide or narrow pictures, many classes, in legends and plots", "bounded")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("count", [3, 21, 150, 1000])
def test_a_confusion_matrix_of_any_size_is_drawn(tmp_path, count):
    write_confusion(tmp_path / "a.png", evaluation(count))
    with Image.open(tmp_path / "a.png") as image:
        assert max(image.size) < 3000


@pytest.mark.parametrize("count", [3, 1000])
def test_the_cells_of_many_classes_are_listed_sparsely(count):
    found = evaluation(count).to_dict()["confusion"]
    if count == 3:
        assert np.array(found["pixels"]).shape == (3, 4)
        return
    cells = np.array(found["nonzero"])
    assert np.array_equal(evaluation(count).matrix[cells[:, 0], cells[:, 1]], cells[:, 2])
    assert cells[:, 2].sum() == evaluation(count).matrix.sum()


@pytest.mark.security("wide or narrow pictures, many classes, in legends and plots", "bounded")
@pytest.mark.parametrize("size", [(100_000, 1), (1, 100_000), (30, 40)])
def test_a_contact_sheet_is_bounded(tmp_path, size):
    tile = Tile(np.zeros((*size, 3), np.uint8), "caption " * 1000)
    write_sheet(tmp_path / "a.png", [[tile, tile]], title="t" * 10**6, key=kinds(1000))
    with Image.open(tmp_path / "a.png") as image:
        assert max(image.size) < 1000
