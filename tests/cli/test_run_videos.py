from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")


@pytest.fixture
def clip(tmp_path, photo):
    """clip.avi: twelve frames of 64x48 at 20 per second."""
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (64, 48))
    for shift in range(12):
        writer.write(np.ascontiguousarray(np.roll(photo, 4 * shift, axis=1)[:, :, ::-1]))
    writer.release()
    return tmp_path / "clip.avi"


EFFECT = ("--effect", "replace-background", "--class", "class 1", "--background", "#00ff00")


def greens(path):
    """The share of green pixels in each frame of a video."""
    capture, found = cv2.VideoCapture(str(path)), []
    while (step := capture.read())[0]:
        blue, green, red = (step[1][..., c].astype(int) for c in range(3))
        found.append(float(((green > 180) & (blue < 90) & (red < 90)).mean()))
    return found


@pytest.mark.usefixtures("clip")
def test_a_video_and_an_image_get_their_effect_in_one_run(fcn_edge, model_path, photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "a.png")
    done = fcn_edge("run", model_path("rgb"), "clip.avi", "a.png", "-o", "out", *EFFECT)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        *("a.effect.png", "a.json", "a.labels.png", "a.overlay.png"),
        *("clip.effect.mp4", "clip.json", "clip.overlay.mp4"),
    ]
    assert "clip.avi: 64x48, 12 frames, " in done.stdout
    share = 1 - json.loads((tmp_path / "out" / "clip.json").read_text())["classes"][1]["share"]
    assert np.mean(greens(tmp_path / "out" / "clip.effect.mp4")) == pytest.approx(share, abs=0.15)
    assert max(greens(tmp_path / "out" / "clip.overlay.mp4")) < 0.1


def test_a_recorded_effect_is_that_of_run(fcn_edge, model_path, clip, tmp_path):
    model = model_path("rgb")
    done = fcn_edge("robot", "camera", clip, "--model", model, "--record", "o.mp4", *EFFECT, "-q")
    assert done.returncode == 0, done.stderr
    fcn_edge("run", model, clip, "-o", "out", *EFFECT, "-q")
    assert greens(tmp_path / "o.mp4") == greens(tmp_path / "out" / "clip.effect.mp4")


def test_an_effect_that_nothing_shows_is_refused(fcn_edge, model_path, clip):
    for where in ((), ("--record", "o.mcap")):
        done = fcn_edge("robot", "camera", clip, "--model", model_path("rgb"), *EFFECT, *where)
        assert done.returncode == 2
        assert done.stderr == "error: --effect changes what is shown: add --show, or --record out.mp4\n"


def test_a_video_cut_short_is_kept_and_reported(fcn_edge, model_path, clip, tmp_path):
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 7 // 10])
    done = fcn_edge("run", model_path("rgb"), "clip.avi", "-o", "out", "-q", "--json")
    assert done.returncode == 1
    first, last = done.stderr.splitlines()
    assert first.startswith("failed: clip.avi is cut short or damaged: ")
    assert last == "error: 1 of 1 videos failed"
    (failed,) = json.loads(done.stdout)["failed"]
    assert 2 <= failed["frames"] == len(greens(tmp_path / "out" / "clip.overlay.mp4")) < 12


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("clip.avi", "--save", "labels"), 2, "robot camera VIDEO --record labels.mcap` writes the labels"),
        (("rtsp://10.0.0.5/x",), 2, "`fcn-edge robot camera rtsp://10.0.0.5/x --model MODEL.onnx"),
        (("missing.mp4",), 1, "there is no image or folder missing.mp4"),
        (("clip.avi", "--radius", "3%"), 2, "--radius belongs to an effect: add --effect"),
        (("clip.avi", *EFFECT, "--color", "#000000"), 2, "--color belongs to tint"),
        (("clip.avi", "--effect", "tint", "--class", "dog"), 2, "no class 'dog'"),
    ],
)
def test_what_a_video_cannot_have_is_refused(fcn_edge, model_path, clip, arguments, code, message):
    done = fcn_edge("run", model_path("rgb"), *arguments, "-o", "out")
    assert done.returncode == code
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list((clip.parent / "out").glob("*"))


def test_ctrl_c_leaves_no_part_of_a_video(model_path, photo, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "long.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (640, 480))
    for _ in range(300):
        writer.write(np.ascontiguousarray(np.tile(photo, (10, 10, 1))))
    writer.release()
    command = [
        sys.executable,
        "-m",
        "fcn_edge",
        "run",
        model_path("rgb"),
        tmp_path / "long.avi",
        "-o",
        tmp_path / "out",
    ]
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out/.*.part.mp4")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.strip()) == (130, "error: interrupted")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.security("the disk is full while a video is written", "one line, no part of a video")
def test_a_video_that_does_not_fit_is_reported(fcn_edge, model_path, clip, tmp_path):
    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    done = fcn_edge("run", model_path("rgb"), clip, "-o", "out", "-q", preexec_fn=limited)
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "the video is not complete on disk" in done.stderr
    assert not list((tmp_path / "out").iterdir())


def test_a_threshold_reaches_every_result(fcn_edge, model_path, clip, photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "a.png")
    model = model_path("rgb")  # three classes with confidence
    options = ("--threshold", 0.7, "--json", "-q")
    done = fcn_edge("run", model, "a.png", clip, "-o", "out", *options)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["threshold"] == 0.7
    labels = np.asarray(Image.open(tmp_path / "out" / "a.labels.png"))
    assert 0 < (labels == 255).mean() < 1
    for name in ("a.json", "clip.json"):
        written = json.loads((tmp_path / "out" / name).read_text())
        assert written["threshold"] == 0.7
        assert written["classes"][-1]["name"] == "unlabeled"
        assert written["classes"][-1]["pixels"] > 0


def test_a_threshold_out_of_range_is_refused_first(fcn_edge, model_path, clip):
    for wrong in ("0", "1", "nan", "1.5"):
        done = fcn_edge("run", model_path("rgb"), clip, "-o", "out", "--threshold", wrong)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    done = fcn_edge("run", model_path("plain"), clip, "-o", "out", "--threshold", 0.5)
    assert done.returncode == 2
    assert "export it again with --outputs labels,confidence" in done.stderr


@pytest.mark.usefixtures("clip")
def test_a_batch_of_frames_of_a_video_is_refused(fcn_edge, model_path):
    done = fcn_edge("run", model_path("rgb"), "clip.avi", "-o", "out", "--batch", "4")
    assert done.returncode == 2
    assert "--batch is for images, got clip.avi" in done.stderr
