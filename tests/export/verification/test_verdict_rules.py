"""Each rule of the verdict alone, on sessions of two or three nodes.

The image of these models is the logits themselves, channels last, so that the logits of
both sides can be set pixel by pixel.
"""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from fcn_edge_export.verification.cases import PATTERN, Case
from fcn_edge_export.verification.measure import labeled
from fcn_edge_export.verification.verdict import check_shipped, compare
from fcn_edge_runtime.errors import VerificationError
from fcn_edge_runtime.session.session import open_session

CLASSES = 3
RNG = np.random.default_rng(5)


def session(*head, error=None, outputs=("labels", "logits"), classes=CLASSES, dtype=TensorProto.UINT8):
    """A file that gives `image` as its logits, plus `error`, and what the nodes in `head` make of them."""
    nodes = [helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2])]
    constants = []
    if error is None:
        nodes.append(helper.make_node("Identity", ["planes"], ["logits"]))
    else:
        constants.append(numpy_helper.from_array(error.astype(np.float32), "error"))
        nodes.append(helper.make_node("Add", ["planes", "error"], ["logits"]))
    shapes = {
        "labels": (dtype, ["n", "h", "w"]),
        "confidence": (TensorProto.FLOAT, ["n", "h", "w"]),
        "probabilities": (TensorProto.FLOAT, ["n", classes, "h", "w"]),
        "logits": (TensorProto.FLOAT, None),
    }
    graph = helper.make_graph(
        [*nodes, *(helper.make_node(op, ins, outs, **kw) for op, ins, outs, kw in head)],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", "h", "w", classes])],
        [helper.make_tensor_value_info(name, *shapes[name]) for name in outputs],
        [*constants, numpy_helper.from_array(np.array([1]), "one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return open_session(model.SerializeToString(), "cpu")


def argmax(last=0):
    return ("ArgMax", ["logits"], ["best"], {"axis": 1, "keepdims": 0, "select_last_index": last})


CAST = ("Cast", ["best"], ["labels"], {"to": TensorProto.UINT8})
SOFTMAX = ("Softmax", ["logits"], ["probabilities"], {"axis": 1})
WINNER = ("ReduceMax", ["probabilities", "one"], ["confidence"], {"keepdims": 0})


def as_logits(image):
    """The logits of the reference: the image, channels first."""
    return np.ascontiguousarray(np.moveaxis(image, -1, 1))


def verified(probe, image, *, reference=as_logits, outputs=("labels",)):
    return compare(reference, probe, [Case("made", lambda: image)], outputs=outputs).results[0]


def random_image(height=20, width=30, classes=CLASSES):
    return RNG.normal(size=(2, height, width, classes)).astype(np.float32)


def test_a_correct_model_passes_without_error():
    result = verified(session(argmax(), CAST), random_image())
    assert (result.failure, result.error, result.flips, result.agreement) == ("", 0.0, 0, 1.0)
    assert result.labels_seen == (0, 1, 2)


def test_labels_that_are_off_by_one_break_the_head_rule():
    shifted = ("Add", ["argmax", "one"], ["best"], {})
    first = ("ArgMax", ["logits"], ["argmax"], {"axis": 1, "keepdims": 0})
    result = verified(session(first, shifted, CAST), random_image())
    assert result.failure == "head"
    assert "1200 labels are not the argmax of the file's own logits" in result.detail


def test_ties_decided_for_the_last_class_break_the_head_rule():
    image = random_image()
    image[1, 7, 9] = (0.5, 2.0, 2.0)
    assert verified(session(argmax(), CAST), image).failure == ""
    result = verified(session(argmax(last=1), CAST), image)
    assert (result.failure, result.pixel) == ("head", (1, 7, 9))


def test_labels_that_wrap_around_break_the_head_rule():
    wrapped = ("Sub", ["argmax", "one"], ["best"], {})
    first = ("ArgMax", ["logits"], ["argmax"], {"axis": 1, "keepdims": 0})
    assert verified(session(first, wrapped, CAST), random_image()).failure == "head"


def test_an_error_above_the_bound_breaks_the_numbers_rule():
    error = np.zeros((2, CLASSES, 20, 30))
    error[1, 2, 3, 4] = 5e-3
    result = verified(session(argmax(), CAST, error=error), random_image())
    assert (result.failure, result.pixel) == ("numbers", (1, 3, 4))
    assert "logits differ by 0.005" in result.detail


def test_an_error_within_the_bound_passes_and_is_measured():
    error = np.full((1, 1, 1, 1), 1e-4)
    result = verified(session(argmax(), CAST, error=error), random_image())
    assert result.failure == ""
    assert result.error == pytest.approx(1e-4, rel=1e-2)
    assert (
        result.error <= result.bound == pytest.approx(1e-4 * result.amplitude + 8 * 2**-23 * result.magnitude)
    )


def test_an_offset_of_all_logits_widens_the_bound_by_rounding():
    offset = random_image() + np.float32(1e4)
    result = verified(session(argmax(), CAST), offset)
    assert result.amplitude < 10
    assert result.bound == pytest.approx(1e-4 * result.amplitude + 8 * 2**-23 * result.magnitude)
    assert verified(session(argmax(), CAST, error=np.full((1, 1, 1, 1), 0.05)), offset).failure == "numbers"


def near_ties(share):
    """Logits with one confident pixel, and a share of pixels where two classes differ by 2e-6."""
    image = np.zeros((1, 40, 50, CLASSES), np.float32)
    image[..., 0] = 1.0
    image[0, 0, 0, 0] = 10.0
    flat = image.reshape(-1, CLASSES)
    flat[1 : 1 + round(share * len(flat)), 1] = np.float32(1 - 2e-6)
    return image


@pytest.mark.parametrize(("share", "failure"), [(0.004, ""), (0.01, "decisions")])
def test_near_ties_may_flip_half_a_percent_of_the_labels(share, failure):
    error = np.zeros((1, CLASSES, 1, 1))
    error[:, 1] = 4e-6
    result = verified(session(argmax(), CAST, error=error), near_ties(share))
    assert result.failure == failure
    assert result.agreement == pytest.approx(1 - share)
    if failure:
        assert "1.00 % of the labels flip, allowed 0.5 %" in result.detail


def test_a_flip_larger_than_the_errors_is_found():
    # Labels that follow their logits cannot flip further than the errors, so no file reaches this rule.
    from fcn_edge_export.verification.verdict import _unjustified_flips

    expected = labeled(np.array([[[[1.0]], [[0.9]], [[0.0]]]], np.float32))
    logits = expected["logits"] + np.array([[[[-0.04]], [[0.04]], [[0.0]]]], np.float32)
    first, second = ({"labels": np.array([[[k]]], np.uint8), "logits": logits} for k in (0, 1))
    assert not _unjustified_flips(expected, first).any()
    assert _unjustified_flips(expected, second).all()
    logits[0, 1] += 0.03
    assert not _unjustified_flips(expected, second).any()


def test_a_wrong_confidence_breaks_the_confidence_rule():
    head = (argmax(), CAST, SOFTMAX)
    outputs = ("labels", "logits", "confidence", "probabilities")
    right = session(*head, WINNER, outputs=outputs)
    assert verified(right, random_image(), outputs=outputs).failure == ""

    mean = ("ReduceMean", ["probabilities", "one"], ["confidence"], {"keepdims": 0})
    result = verified(session(*head, mean, outputs=outputs), random_image(), outputs=outputs)
    assert result.failure == "confidence"
    assert result.detail.startswith("confidence differs by")


def test_a_softmax_over_the_wrong_axis_breaks_confidence():
    wrong = ("Softmax", ["logits"], ["probabilities"], {"axis": 2})
    outputs = ("labels", "logits", "probabilities")
    result = verified(session(argmax(), CAST, wrong, outputs=outputs), random_image(), outputs=outputs)
    assert result.failure == "confidence"
    assert result.detail.startswith("probabilities differs by")


def test_a_confidence_that_is_nan_breaks_the_confidence_rule():
    nan = ("Div", ["zero", "zero"], ["confidence"], {})
    zero = ("Sub", ["best_float", "best_float"], ["zero"], {})
    cast = ("Cast", ["best"], ["best_float"], {"to": TensorProto.FLOAT})
    outputs = ("labels", "logits", "confidence")
    result = verified(
        session(argmax(), CAST, cast, zero, nan, outputs=outputs), random_image(), outputs=outputs
    )
    assert result.failure == "confidence"


def test_one_class_means_labels_above_zero():
    image = random_image(classes=1)
    image[0, 0, 0] = 0.0
    threshold = numpy_helper.from_array(np.zeros(1, np.float32))
    zero = ("Constant", [], ["zero"], {"value": threshold})
    positive = [zero, ("Greater", ["logits", "zero"], ["yes"], {}), ("Squeeze", ["yes", "one"], ["best"], {})]
    assert verified(session(*positive, CAST, classes=1), image).failure == ""
    positive[1] = ("GreaterOrEqual", ["logits", "zero"], ["yes"], {})
    result = verified(session(*positive, CAST, classes=1), image)
    assert (result.failure, result.pixel) == ("head", (0, 0, 0))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_or_inf_on_either_side_is_named_with_its_pixel(bad):
    image = random_image()
    image[1, 2, 3, 0] = bad
    clean = np.nan_to_num(image, nan=0, posinf=0)
    probe = session(argmax(), CAST)
    theirs = verified(probe, image, reference=lambda _: as_logits(clean))
    ours = verified(probe, clean, reference=lambda _: as_logits(image))
    assert (theirs.failure, theirs.pixel) == ("finite", (1, 2, 3))
    assert "the file" in theirs.detail
    assert (ours.failure, ours.pixel) == ("finite", (1, 2, 3))
    assert "PyTorch" in ours.detail


def test_logits_of_another_shape_break_the_shape_rule():
    result = verified(session(argmax(), CAST), random_image(), reference=lambda x: as_logits(x)[..., :-1])
    assert result.failure == "shape"
    assert "(2, 3, 20, 30)" in result.detail
    assert "(2, 3, 20, 29)" in result.detail


def test_more_classes_than_the_network_gives_are_refused():
    assert (
        verified(session(argmax(), CAST), random_image(), reference=lambda x: as_logits(x)[:, :2]).failure
        == "shape"
    )


def test_an_error_of_onnxruntime_breaks_the_run_rule():
    result = verified(session(argmax(), CAST, error=np.zeros((1, 1, 7, 1))), random_image())
    assert result.failure == "run"
    assert "onnxruntime" in result.detail
    assert "2x20x30x3" in result.detail


def test_the_message_names_the_worst_input_and_not_the_first():
    error = np.zeros((1, CLASSES, 1, 30))
    error[..., 4] = 0.01
    error[..., 20] = 1.0
    probe = session(argmax(), CAST, error=error)
    small, large = random_image(20, 30), random_image(11, 30)

    def reference(image):
        """Off by 0.01 of the error on the small image, by all of it on the other."""
        return as_logits(image) + np.float32(0.99 if image.shape[1] == 20 else 0) * error.astype(np.float32)

    verdict = compare(reference, probe, [Case("near", lambda: small), Case("far", lambda: large)])
    with pytest.raises(VerificationError, match=r"2 of 2 inputs .* worst at far 2x11x30, pixel \(.*, 20\)"):
        verdict.require()


def test_a_verdict_over_one_label_only_is_blind():
    image = random_image()
    image[..., 0] += 100
    probe = session(argmax(), CAST)
    verdict = compare(as_logits, probe, [Case("dark", lambda: image)])
    assert verdict.passed
    assert verdict.blind
    assert not compare(as_logits, probe, [Case("dark", lambda: image), Case("lit", random_image)]).blind


def test_a_file_whose_labels_differ_from_its_probe_is_refused():
    image = random_image()
    cases = [Case("made", lambda: image)]
    verdict = compare(as_logits, session(argmax(), CAST), cases)
    check_shipped(session(argmax(), CAST, outputs=("labels",)), verdict, cases)
    image[0, 0, 0] = (0, 0, 9) if image[0, 0, 0].argmax() != 2 else (9, 0, 0)
    with pytest.raises(VerificationError, match="at made 2x20x30 the file's labels differ from its probe's"):
        check_shipped(session(argmax(), CAST, outputs=("labels",)), verdict, cases)


@pytest.mark.parametrize(
    ("name", "height", "repeated"), [("street.png", 257, True), (PATTERN, 256, True), (PATTERN, 257, False)]
)
def test_your_frames_and_all_but_large_patterns_run_in_the_file(name, height, repeated):
    image = random_image(height, 64)
    cases = [Case(name, lambda: image)]
    verdict = compare(as_logits, session(argmax(), CAST), cases)
    image[0, 0, 0] = (0, 0, 9) if image[0, 0, 0].argmax() != 2 else (9, 0, 0)
    with pytest.raises(VerificationError, match="differ") if repeated else contextlib.nullcontext():
        check_shipped(session(argmax(), CAST, outputs=("labels",)), verdict, cases)


class LosesDigits:
    """A reference whose float32 is off by a constant pattern, and whose float64 is exact."""

    def __init__(self, exact=as_logits):
        self.in_float64 = exact

    def __call__(self, image):
        return as_logits(image) + np.linspace(0, 0.01, image.shape[2], dtype=np.float32)


def test_a_file_nearer_to_float64_than_pytorch_passes():
    result = verified(session(argmax(), CAST), random_image(), reference=LosesDigits())
    assert (result.failure, result.error, result.float64) == ("", 0.0, True)


def test_a_file_that_is_off_in_float64_too_is_refused():
    off = LosesDigits(lambda image: as_logits(image) + np.float32(0.01))
    result = verified(session(argmax(), CAST), random_image(), reference=off)
    assert (result.failure, result.float64) == ("numbers", False)


def test_without_float64_a_network_is_compared_in_float32():
    result = verified(session(argmax(), CAST), random_image(), reference=LosesDigits(lambda _: None))
    assert result.failure == "numbers"


@pytest.mark.parametrize(("pixels", "failure"), [(2, ""), (3, "decisions")])
def test_labels_alone_may_flip_at_few_pixels(pixels, failure):
    image = np.zeros((1, 20, 30, CLASSES), np.float32)
    image[..., 0] = 1
    other = np.zeros((1, CLASSES, 20, 30), np.float32)
    other[0, 0, 0, :pixels], other[0, 1, 0, :pixels] = -1, 1
    probe = session(argmax(), CAST, error=other)
    found = compare(as_logits, probe, [Case("made", lambda: image)], kind="labels").results[0]
    assert (found.failure, found.flips) == (failure, pixels)
