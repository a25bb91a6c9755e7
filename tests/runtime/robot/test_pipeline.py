from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest

from fcn_edge_runtime.errors import InputError, ModelError, UsageError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.robot.frames import as_array
from fcn_edge_runtime.robot.messages import Header, Stamp
from fcn_edge_runtime.robot.model import open_model
from fcn_edge_runtime.robot.pipeline import Pipeline, PipelineOptions
from fcn_edge_runtime.robot.shrink import grown, scaled_intrinsics, shrunk
from fcn_edge_runtime.session.profile import Host, Profile, ProfileOptions
from tests.runtime.robot.messages import image_of


def test_masks_have_the_header_the_size_and_exact_labels(pipeline, frames):
    header = Header(Stamp(-5, 4_000_000_000), "odd \udcff frame")
    frame = pipeline(image_of(frames[0], header=header), confidence=True, overlay=True)
    expected = pipeline.segmenter(frames[0])
    for message in (frame.mask, frame.confidence, frame.overlay):
        assert message.header == header
        assert (message.height, message.width) == frames[0].shape[:2]
    assert (frame.mask.encoding, frame.mask.step) == ("mono8", 320)
    np.testing.assert_array_equal(as_array(frame.mask)[:, :, 0], expected.labels)
    np.testing.assert_array_equal(as_array(frame.confidence)[:, :, 0], np.rint(expected.confidence * 255))
    np.testing.assert_array_equal(as_array(frame.overlay), expected.overlay(frames[0]))
    assert frame.counts == (*(int((expected.labels == i).sum()) for i in range(3)), 0)
    assert frame.timings.total > frame.timings.network > 0


def test_unwanted_outputs_are_not_made(pipeline, frames):
    frame = pipeline(image_of(frames[0]))
    assert frame.confidence is None
    assert frame.overlay is None


def test_label_info_names_the_classes_but_not_unlabeled(pipeline):
    info = pipeline.label_info()
    assert [(c.class_id, c.class_name) for c in info.class_map] == [
        (0, "class 0"),
        (1, "class 1"),
        (2, "class 2"),
    ]


def test_more_than_255_classes_give_16_bit_masks(model_path, frames):
    with open_model(str(model_path("wide")), "cpu", 1) as segmenter:
        with pytest.raises(UsageError, match="300 classes, which do not fit into mono8"):
            Pipeline(segmenter, PipelineOptions(mask_encoding="mono8"))
        small = frames[0][:32, :48]
        mask = Pipeline(segmenter)(image_of(small)).mask
        assert (mask.encoding, mask.step) == ("mono16", 96)
        np.testing.assert_array_equal(as_array(mask)[:, :, 0], segmenter(small).labels)


def test_16_bit_masks_can_be_requested(pipeline, frames):
    wide = Pipeline(pipeline.segmenter, PipelineOptions(mask_encoding="mono16"))
    mask = wide(image_of(frames[0])).mask
    np.testing.assert_array_equal(as_array(mask)[:, :, 0], pipeline.segmenter(frames[0]).labels)


def test_shrinking_keeps_the_mask_size_by_nearest_neighbor(pipeline, frames):
    odd = frames[0][:101, :99]
    small = Pipeline(pipeline.segmenter, PipelineOptions(shrink=2))
    mask = as_array(small(image_of(odd), overlay=True).mask)[:, :, 0]
    labels = pipeline.segmenter(shrunk(odd, 2)).labels
    assert labels.shape == (51, 50)
    np.testing.assert_array_equal(mask, np.kron(labels, np.ones((2, 2), np.uint8))[:101, :99])


def test_masks_of_the_models_size_can_be_requested(pipeline, frames):
    small = Pipeline(pipeline.segmenter, PipelineOptions(shrink=3, mask_size="model"))
    frame = small(image_of(frames[0][:100, :100]), confidence=True, overlay=True)
    for message in (frame.mask, frame.confidence, frame.overlay):
        assert (message.height, message.width) == (34, 34)


def test_the_whitest_image_shrinks_without_overflow():
    for dtype in (np.uint8, np.uint16):
        white = np.full((32, 48, 3), np.iinfo(dtype).max, dtype)
        assert (shrunk(white, 16) == np.iinfo(dtype).max).all()
        assert shrunk(white, 16).dtype == dtype
    floats = np.random.default_rng(1).random((6, 6, 1), np.float32)
    np.testing.assert_allclose(shrunk(floats, 3)[0, 0], floats[:3, :3].mean(), rtol=1e-6)


def test_shrinking_is_the_mean_of_squares():
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    mean = image.reshape(2, 2, 3, 2, 3).astype(float).mean(axis=(1, 3))
    np.testing.assert_array_equal(shrunk(image, 2), np.floor(mean + 0.5))
    np.testing.assert_array_equal(grown(np.array([[1, 2]], np.uint8), 2, (2, 3)), [[1, 1, 2], [1, 1, 2]])


def test_a_shrunk_cameras_matrices_project_onto_the_shrunk_image():
    k = [500.0, 0.0, 319.5, 0.0, 500.0, 239.5, 0.0, 0.0, 1.0]
    scaled = scaled_intrinsics(k, 3, 2)
    point = np.array([0.3, -0.2, 2.0])
    full = (np.array(k).reshape(3, 3) @ point)[:2] / point[2]
    small = (np.array(scaled).reshape(3, 3) @ point)[:2] / point[2]
    np.testing.assert_allclose(small, (full + 0.5) / 2 - 0.5)


def test_the_pipeline_stays_usable_after_a_bad_message(pipeline, frames):
    good = image_of(frames[0])
    with pytest.raises(InputError):
        pipeline(dataclasses.replace(good, encoding="yuv422"))
    assert pipeline(good).mask.width == 320


@pytest.mark.parametrize(
    "options",
    [{"mask_encoding": "rgb8"}, {"mask_size": "half"}, {"shrink": 0}, {"overlay_alpha": 1.5}],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        PipelineOptions(**options)


def test_a_model_without_classes_is_refused_on_opening(tmp_path):
    pytest.importorskip("onnx")
    from tests.runtime.make_models import finish, make_card, make_golden, make_proto

    card = make_card()
    proto = make_proto(card)
    golden = make_golden(card, proto)
    text = json.dumps({**card.to_dict(), "classes": []})
    (tmp_path / "none.onnx").write_bytes(finish(proto, text, golden))
    with pytest.raises(ModelError, match="expected a list of 2 to 65535 classes"):
        open_model(str(tmp_path / "none.onnx"), "cpu", 1)


@pytest.mark.parametrize("names", [("floor", ""), ("floor", "floor")])
def test_ambiguous_class_names_are_refused(model, names):
    with open_model(str(model), "cpu", 1) as segmenter:
        classes = [
            dataclasses.replace(c, name=n) for c, n in zip(segmenter.card.classes, names, strict=False)
        ]
        segmenter.card = dataclasses.replace(segmenter.card, classes=(*classes, segmenter.card.classes[2]))
        with pytest.raises(ModelError, match="export again with --classes"):
            Pipeline(segmenter)


@pytest.mark.parametrize("confidence", [True, False])
def test_a_pickled_robot_segmenter_computes_the_same_outputs(model, frames, confidence):
    expected = ("labels", "confidence") if confidence else ("labels",)
    with open_model(str(model), "cpu", 1, confidence=confidence) as segmenter:
        assert len(segmenter.session.outputs) == 3  # the file also has logits
        copy = pickle.loads(pickle.dumps(segmenter))  # noqa: S301 - our own
        assert copy.outputs == segmenter.outputs == expected
        result, copied = segmenter(frames[0]), copy(frames[0])
        np.testing.assert_array_equal(copied.labels, result.labels)
        assert (copied.confidence is None) == (not confidence)
        assert copied.logits is result.logits is None


def test_the_outputs_of_an_open_segmenter_cannot_be_changed(pipeline):
    with pytest.raises(AttributeError):
        pipeline.segmenter.outputs = ("labels",)


def test_a_robot_uses_the_profile_of_its_model(model, pipeline, frames, tmp_path):
    with ModelFile.open(model) as opened:
        profile = Profile(
            "rgb", opened.digest, Host.here(), ProfileOptions("cpu", 1, optimization="extended")
        )
    profile.save(tmp_path / "p.json")
    with open_model(str(model), profile=str(tmp_path / "p.json")) as segmenter:
        assert segmenter.session.why == "from the profile"
        np.testing.assert_array_equal(segmenter(frames[0]).labels, pipeline.segmenter(frames[0]).labels)
