"""The range of sizes is explained by conditions on the size, where they explain anything."""

from __future__ import annotations

import pytest

from fcn_edge_export.conditions import Condition
from fcn_edge_export.verification.borders import SizeDependentError, find_range
from fcn_edge_runtime.model.card import InputSpec
from tests.export.verification.test_verdict_rules import CAST, CLASSES, argmax, as_logits, session


def on_height(text, where, holds):
    return Condition(text, where, frozenset({"height"}), lambda *size: holds(size[1]))


LOW = on_height("height <= 400", "file.py:1: if h > 400:", lambda height: height <= 400)
ODD = on_height("height % 2 == 1", "file.py:2: if h % 2:", lambda height: height % 2 == 1)


def found(wrong_at, *conditions):
    """The range of a file that differs from its reference where `wrong_at(height)`."""

    def reference(image):
        return -as_logits(image) if wrong_at(image.shape[1]) else as_logits(image)

    spec = InputSpec.raw(CLASSES, "float32")
    return find_range(reference, session(argmax(), CAST), conditions, spec, 1)


def test_a_condition_ends_the_range_where_the_file_differs():
    assert found(lambda height: height > 400, LOW).largest == (400, 4096)


def test_a_harmless_condition_broken_beside_is_not_blamed():
    assert found(lambda height: height > 400, ODD, LOW).limited_by == (LOW,)


def test_sizes_do_not_explain_a_file_that_is_wrong_at_all():
    assert (
        found(lambda height: height > 0, LOW).largest is None
    )  # refused by the verdict, which names the stage


def test_no_range_is_left_between_even_sizes():
    with pytest.raises(SizeDependentError, match=r"file\.py:2"):
        found(lambda height: height % 2 == 0, ODD)
