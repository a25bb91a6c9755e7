from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from fcn_edge_runtime import InputError, Segmenter, UsageError
from fcn_edge_runtime.image_job import SaveOptions
from fcn_edge_runtime.imaging.effects import Effect
from fcn_edge_runtime.imaging.finding import find_images
from fcn_edge_runtime.video import segment_videos, video_frames

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")

NTSC = Fraction(30000, 1001)


def write_video(path, frames, rate=20.0, codec="MJPG"):
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), float(rate), (width, height))
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
    writer.release()
    return path


@pytest.fixture(scope="module")
def frames(photo):
    """Twelve different frames, (48, 64, 3) uint8 RGB."""
    return [np.roll(photo, 4 * shift, axis=1) for shift in range(12)]


@pytest.fixture
def video(tmp_path, frames):
    return write_video(tmp_path / "clip.avi", frames, NTSC)


@pytest.fixture(scope="module")
def segmenter(model_path):
    with Segmenter(model_path("rgb"), "cpu", 1, outputs=("labels",)) as opened:
        yield opened


def segmented(segmenter, path, out, save=("overlay", "json"), effect=None, **options):
    files = find_images([str(path)])
    return list(segment_videos(segmenter, files, out, save, effect, options=SaveOptions(**options)))


REPLACE = Effect("replace-background", ("class 1",), background=(0, 255, 0), feather=0)


def test_frames_of_a_video_come_in_order(video, frames):
    read = list(video_frames(video))
    assert len(read) == len(frames)
    for got, expected in zip(read, frames, strict=True):
        assert got.dtype == np.uint8
        assert np.abs(got.astype(int) - expected).mean() < 8  # the codec is lossy


def test_a_video_cut_short_gives_its_frames_then_an_error(video, tmp_path):
    short = tmp_path / "short.avi"
    data = video.read_bytes()
    short.write_bytes(data[: len(data) * 7 // 10])
    read = []
    with pytest.raises(InputError, match="of the 12 frames that it declares"):
        read.extend(video_frames(short))  # keeps what came before the error
    assert 2 <= len(read) < 12


def test_an_effect_video_has_the_size_and_rate_of_its_source(segmenter, video, tmp_path):
    (result,) = segmented(segmenter, video, tmp_path / "out", ("effect",), REPLACE)
    assert result.error is None
    capture = cv2.VideoCapture(str(tmp_path / "out" / "clip.effect.mp4"))
    facts = [capture.get(p) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)]
    assert facts == [64, 48, pytest.approx(float(NTSC), rel=1e-3)]
    for frame, shown in zip(
        video_frames(video), video_frames(tmp_path / "out" / "clip.effect.mp4"), strict=True
    ):
        labels = segmenter(frame).labels
        expected = frame.copy()
        expected[labels != 1] = (0, 255, 0)
        assert np.abs(shown.astype(int) - expected).mean() < 20  # lossy, and colors at half the size
        assert np.abs(shown.astype(int) - frame).mean() > 30


def test_an_overlay_video_shows_the_overlay_of_every_frame(segmenter, video, tmp_path):
    segmented(segmenter, video, tmp_path / "out", ("overlay",))
    shown = list(video_frames(tmp_path / "out" / "clip.overlay.mp4"))
    assert len(shown) == 12
    for frame, got in zip(video_frames(video), shown, strict=True):
        assert np.abs(got.astype(int) - segmenter(frame).overlay(frame)).mean() < 20


def test_shares_of_classes_are_those_of_all_frames(segmenter, video, tmp_path):
    (result,) = segmented(segmenter, video, tmp_path / "out", ("json",))
    counts = sum(np.bincount(segmenter(f).labels.ravel(), minlength=256) for f in video_frames(video))
    assert [a.pixels for a in result.areas] == [int(counts[a.id]) for a in result.areas]
    written = json.loads((tmp_path / "out" / "clip.json").read_text())
    assert (written["frames"], written["size"]) == (12, [48, 64])
    assert written["rate"] == result.rate == pytest.approx(float(NTSC), rel=1e-3)
    assert result.reading == 0  # not measured
    assert sum(entry["pixels"] for entry in written["classes"]) == 12 * 48 * 64


def test_what_a_video_cut_short_gave_is_kept(segmenter, video, tmp_path):
    data = video.read_bytes()
    video.write_bytes(data[: len(data) * 7 // 10])
    (result,) = segmented(segmenter, video, tmp_path / "out")
    assert "of the 12 frames that it declares" in result.error
    assert 2 <= result.frames < 12
    assert len(list(video_frames(tmp_path / "out" / "clip.overlay.mp4"))) == result.frames
    assert json.loads((tmp_path / "out" / "clip.json").read_text())["frames"] == result.frames


def test_a_file_that_is_not_a_video_leaves_nothing(segmenter, tmp_path):
    (tmp_path / "bad.mp4").write_text("text")
    (result,) = segmented(segmenter, tmp_path / "bad.mp4", tmp_path / "out")
    assert "cannot be opened" in result.error
    assert not list((tmp_path / "out").iterdir())


def test_a_video_is_written_again_unless_it_was_changed(segmenter, video, tmp_path):
    segmented(segmenter, video, tmp_path / "out", ("overlay",))
    path = tmp_path / "out" / "clip.overlay.mp4"
    before = path.read_bytes()
    segmented(segmenter, video, tmp_path / "out", ("overlay",))
    assert path.read_bytes() == before
    path.write_bytes(before[:-1] + b"x")
    with pytest.raises(UsageError, match="would be overwritten"):
        segmented(segmenter, video, tmp_path / "out", ("overlay",))
    segmented(segmenter, video, tmp_path / "out", ("overlay",), overwrite=True)
    assert path.read_bytes() == before


def test_videos_are_never_written_over_their_source(segmenter, video, tmp_path):
    source = video.rename(tmp_path / "a.overlay.mp4")
    (tmp_path / "a.avi").symlink_to(source)
    with pytest.raises(UsageError, match="would overwrite an input"):
        segmented(segmenter, tmp_path / "a.avi", tmp_path, ("overlay",), overwrite=True)


def test_frames_of_odd_sides_lose_a_row_and_say_so(segmenter, frames, tmp_path):
    folder = tmp_path / "odd-%02d.png"
    for index, frame in enumerate(frames):
        cv2.imwrite(str(folder) % index, frame[:47, :63])
    # An MJPEG stream without a container keeps odd sides.
    data = b"".join(cv2.imencode(".jpg", frame[:47, :63])[1].tobytes() for frame in frames)
    (tmp_path / "odd.avi").write_bytes(data)
    with pytest.warns(UserWarning, match=r"63x47, and videos have even sides: the video is 62x46"):
        (result,) = segmented(segmenter, tmp_path / "odd.avi", tmp_path / "out", ("overlay",))
    assert result.size == (47, 63)
    assert next(video_frames(tmp_path / "out" / "odd.overlay.mp4")).shape == (46, 62, 3)


@pytest.mark.parametrize("model", ["gray", "deep", "float"])
def test_models_of_other_inputs_take_videos(model_path, video, tmp_path, model):
    with Segmenter(model_path(model), "cpu", 1) as other:
        (result,) = segmented(other, video, tmp_path / "out")
    assert (result.error, result.frames) == (None, 12)


def test_a_model_of_other_channels_refuses_videos_in_one_line(model_path, video, tmp_path):
    with Segmenter(model_path("bands4"), "cpu", 1) as other:
        (result,) = segmented(other, video, tmp_path / "out")
    assert "has 3 channels, expected the 4 of the model" in result.error
    assert not list((tmp_path / "out").glob("*.mp4"))


def test_a_video_whose_results_have_no_place_is_reported(segmenter, video, tmp_path):
    long = video.rename(tmp_path / ("v" * 250 + ".avi"))
    (result,) = segmented(segmenter, long, tmp_path / "out")
    assert "give the image another name" in result.error
    assert not list((tmp_path / "out").iterdir())


def test_frames_too_small_for_a_video_are_reported(segmenter, tmp_path):
    (tmp_path / "thin.avi").write_bytes(cv2.imencode(".jpg", np.zeros((40, 1, 3), np.uint8))[1].tobytes())
    (result,) = segmented(segmenter, tmp_path / "thin.avi", tmp_path / "out")
    assert "at least 2 pixels each way" in result.error
    assert not list((tmp_path / "out").iterdir())
