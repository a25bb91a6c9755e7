"""Every number of a model's results is looked at."""

from __future__ import annotations

import numpy as np
import pytest

from fcn_edge_runtime import Card, ModelError
from fcn_edge_runtime.model.card import ClassInfo, InputSpec
from fcn_edge_runtime.model.contract import check_results

SHAPE = (2, 5, 7)


def card(classes=3, dtype="uint8"):
    infos = tuple(ClassInfo(i, f"class {i}", (0, 0, 0)) for i in range(classes))
    return Card("net", infos, InputSpec.default(3, dtype))


def good(classes=3, planes=None):
    planes = planes or classes
    return {
        "labels": np.full(SHAPE, classes - 1, "uint8" if classes <= 255 else "uint16"),
        "confidence": np.full(SHAPE, 0.5, np.float32),
        "probabilities": np.full((2, planes, 5, 7), 1, np.float32),
        "logits": np.full((2, planes, 5, 7), -1e30, np.float32),
    }


def changed(name, change):
    values = good()
    values[name] = change(values[name].copy())
    return values


def put(number):
    def change(value):
        value.reshape(-1)[17] = number
        return value

    return change


def test_results_by_the_contract_pass():
    check_results(good(), SHAPE, card())
    check_results(good(300), SHAPE, card(300))
    check_results(good(2, 1), SHAPE, card(2))
    check_results(good(2), SHAPE, card(2))
    check_results(changed("labels", put(255)), SHAPE, card())  # unlabeled


@pytest.mark.security("results of another shape or type", "refused for each output")
@pytest.mark.parametrize("name", ["labels", "confidence", "probabilities", "logits"])
@pytest.mark.parametrize(
    "change",
    [
        lambda v: v[0],
        lambda v: v.reshape(-1),
        lambda v: v[None],
        lambda v: np.array(v.reshape(-1)[0]),
        lambda v: v.swapaxes(-1, -2),
        lambda v: v[..., :0],
        lambda v: v[:1],
        lambda v: v.astype(np.float64),
    ],
)
def test_results_of_another_shape_or_type_are_refused(name, change):
    with pytest.raises(ModelError, match=f"gave {name} of .* breaks the contract"):
        check_results(changed(name, change), SHAPE, card())


@pytest.mark.security(
    "results with NaN, Inf, a probability beyond 0 to 1, a label that is no class", "refused"
)
@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("labels", 3),
        ("labels", 200),
        ("labels", 254),
        ("confidence", np.nan),
        ("confidence", np.inf),
        ("confidence", 1.01),
        ("confidence", -1e9),
        ("probabilities", np.nan),
        ("probabilities", -np.inf),
        ("probabilities", -0.01),
        ("logits", np.nan),
        ("logits", np.inf),
        ("logits", -np.inf),
    ],
)
def test_wrong_numbers_are_refused(name, number):
    with pytest.raises(ModelError, match=f"gave {name} "):
        check_results(changed(name, put(number)), SHAPE, card())


def test_finite_logits_whose_sum_overflows_pass():
    values = good()
    values["logits"][:] = 3e38
    check_results(values, SHAPE, card())


def test_an_image_of_floats_is_named_as_the_reason():
    with pytest.raises(ModelError, match="overflowed, check the range of the image's"):
        check_results(changed("confidence", put(np.nan)), SHAPE, card(dtype="float32"))
