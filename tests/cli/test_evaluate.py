from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.imaging.writing import labels_png


@pytest.fixture
def truth(tmp_path, model_path, photo):
    """images/ with two images, labels/ with the model's labels of them, as palette PNGs."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    with Segmenter(model_path("rgb")) as segmenter:
        for name, image in (("a", photo), ("b", photo[::-1].copy())):
            Image.fromarray(image).save(tmp_path / "images" / f"{name}.png")
            result = segmenter(image)
            (tmp_path / "labels" / f"{name}.png").write_bytes(labels_png(result.labels, result.card))
    return tmp_path


@pytest.mark.usefixtures("truth")
def test_a_model_against_its_own_labels_scores_one(fcn_edge, model_path):
    done = fcn_edge("evaluate", model_path("rgb"), "--images", "images", "--labels", "labels", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["why"].startswith("auto: ")
    assert found["mean_iou"] == 1
    assert found["pixel_accuracy"] == 1
    assert found["images"] == 2
    assert found["pixels"] == 2 * 48 * 64


def test_wrong_and_unlabeled_pixels_are_counted_correctly(fcn_edge, model_path, truth):
    path = truth / "labels" / "a.png"
    picture = Image.open(path)
    ids = np.asarray(picture).copy()
    wrong = ids == 1
    wrong[:, 32:] = False
    ids[wrong] = 0
    ids[:2] = 255
    changed = Image.fromarray(ids)
    changed.putpalette(picture.getpalette())
    changed.save(path)
    done = fcn_edge("evaluate", model_path("rgb"), "--images", "images", "--labels", "labels", "--json")
    found = json.loads(done.stdout)
    missed = int(wrong[2:].sum())
    assert missed > 0
    assert found["pixels"] == 2 * 48 * 64 - 2 * 64
    assert found["confusion"]["pixels"][0][1] == missed
    assert found["pixel_accuracy"] == pytest.approx(1 - missed / found["pixels"])


def test_plots_of_the_matrix_and_the_worst_frames_are_written(fcn_edge, model_path, truth):
    args = ("--images", "images", "--labels", "labels", "-o", "report")
    done = fcn_edge("evaluate", model_path("rgb"), *args)
    assert done.returncode == 0, done.stderr
    assert "mean IoU" in done.stdout
    assert sorted(p.name for p in (truth / "report").iterdir()) == [
        "confusion.png",
        "coverage.png",
        "evaluation.json",
        "worst.png",
    ]
    assert min(Image.open(truth / "report" / "worst.png").size) > 100
    assert json.loads((truth / "report" / "evaluation.json").read_text())["mean_iou"] == 1


def test_accuracy_is_drawn_over_coverage_with_confidence(fcn_edge, model_path, truth):
    path = truth / "labels" / "a.png"
    ids = np.asarray(Image.open(path)).copy()
    ids[:10] = (ids[:10] + 1) % 3
    Image.fromarray(ids).save(path)
    args = ("--images", "images", "--labels", "labels")
    done = fcn_edge("evaluate", model_path("rgb"), *args, "--json")
    curve = {point["confidence"]: point for point in json.loads(done.stdout)["coverage"]}
    assert curve[0]["coverage"] == 1
    assert curve[0]["accuracy"] == json.loads(done.stdout)["pixel_accuracy"] < 1
    with Segmenter(model_path("rgb")) as segmenter:
        images = [np.asarray(Image.open(truth / "images" / f"{name}.png")) for name in "ab"]
        sure = np.stack([segmenter(image).confidence for image in images]) >= np.float32(0.7)
    assert curve[0.7]["coverage"] == pytest.approx(sure.mean())
    done = fcn_edge("evaluate", model_path("rgb"), *args)
    assert f"0.7 or more          {sure.mean():.4f}       {curve[0.7]['accuracy']:.4f}" in done.stdout
    done = fcn_edge("evaluate", model_path("plain"), *args, "-o", "plain")
    assert not (truth / "plain" / "coverage.png").exists()
    assert "coverage" not in done.stdout + (truth / "plain" / "evaluation.json").read_text()


def test_an_image_without_labels_is_named(fcn_edge, model_path, truth):
    (truth / "labels" / "b.png").unlink()
    done = fcn_edge("evaluate", model_path("rgb"), "--images", "images", "--labels", "labels")
    assert done.returncode == 1
    assert "b.png has no labels" in done.stderr


@pytest.mark.security("an image that cannot be evaluated", "named; the scores of the others say so, exit 1")
def test_scores_without_a_bad_image_say_so(fcn_edge, model_path, truth):
    (truth / "images" / "a.png").write_bytes(b"rubbish")
    args = ("evaluate", model_path("rgb"), "--images", "images", "--labels", "labels")
    done = fcn_edge(*args, "-o", "report")
    assert done.returncode == 1
    assert done.stdout.startswith("INCOMPLETE: scores of 1 of 2 images, the others failed\n")
    *_, failed, last = done.stderr.splitlines()
    assert failed.startswith("failed: images/a.png is not an image")
    assert last == "error: 1 of 2 images failed, the scores are of the others only"
    for text in (fcn_edge(*args, "--json").stdout, (truth / "report" / "evaluation.json").read_text()):
        found = json.loads(text)
        assert [entry["image"] for entry in found["failed"]] == ["images/a.png"]
        assert (found["images"], found["mean_iou"]) == (1, 1)


def test_labels_of_another_size_are_refused(fcn_edge, model_path, truth):
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(truth / "labels" / "a.png")
    done = fcn_edge("evaluate", model_path("rgb"), "--images", "images", "--labels", "labels")
    assert done.returncode == 1
    assert "expected equal sizes" in done.stderr


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((48, 64), 77, np.uint8), "holds the id 77"),
        (np.zeros((48, 64, 3), np.uint8), "expected class ids"),
    ],
)
def test_an_image_without_class_ids_is_refused(fcn_edge, model_path, truth, pixels, message):
    Image.fromarray(pixels).save(truth / "labels" / "a.png")
    done = fcn_edge("evaluate", model_path("rgb"), "--images", "images", "--labels", "labels")
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def binary(tmp_path, photo):
    """images/a.png, masks/a_mask.png with 0 and 255; a two-class model and its labels."""
    model = Path(__file__).parents[1] / "artifacts" / "0.1.0-binary.onnx"
    with Segmenter(model, "cpu") as segmenter:
        labels = segmenter(photo).labels
    assert 0 < labels.mean() < 1
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    Image.fromarray(photo).save(tmp_path / "images" / "a.png")
    Image.fromarray(labels * np.uint8(255)).save(tmp_path / "masks" / "a_mask.png")
    return model, labels


def test_masks_of_0_and_255_are_not_taken_as_unlabeled(fcn_edge, binary, tmp_path):
    model, labels = binary
    args = ("evaluate", model, "--images", "images", "--labels", "masks", "--suffix", "_mask")
    done = fcn_edge(*args)
    assert done.returncode == 1
    assert "give --foreground 255" in done.stderr
    done = fcn_edge(*args, "--foreground", 255, "--json")
    found = json.loads(done.stdout)
    assert (found["mean_iou"], found["pixels"]) == (1, labels.size)
    changed = labels.copy()
    changed[:10] = 1
    Image.fromarray(changed * np.uint8(255)).save(tmp_path / "masks" / "a_mask.png")
    found = json.loads(fcn_edge(*args, "--foreground", 255, "--json").stdout)
    both, either = (changed & labels).sum(), (changed | labels).sum()
    assert list(found["iou"].values())[1] == pytest.approx(both / either)


def test_images_turned_by_their_orientation_are_named(fcn_edge, model_path, truth):
    path = truth / "images" / "b.png"
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by half: the labels are those of the pixels as stored
    Image.open(path).save(path, exif=exif)
    done = fcn_edge("evaluate", model_path("rgb"), "--images", "images", "--labels", "labels")
    assert done.returncode == 0
    assert "note: 1 of 2 images are turned by their EXIF orientation, such as images/b.png" in done.stderr


def test_quiet_leaves_the_result_and_nothing_on_stderr(fcn_edge, model_path, truth):
    args = ("--images", "images", "--labels", "labels", "-o", "report", "-q")
    done = fcn_edge("evaluate", model_path("rgb"), *args)
    assert (done.returncode, done.stderr) == (0, "")
    assert "mean IoU" in done.stdout
    assert (truth / "report" / "evaluation.json").exists()


def test_a_class_that_does_not_occur_is_not_available(fcn_edge, binary, tmp_path):
    model, labels = binary
    Image.fromarray(np.full(labels.shape, 255, np.uint8)).save(tmp_path / "masks" / "a_mask.png")
    args = ("--images", "images", "--labels", "masks", "--suffix", "_mask", "--labels-by", "id")
    done = fcn_edge("evaluate", model, *args)
    assert done.returncode == 0, done.stderr
    assert [line.split()[-1] for line in done.stdout.splitlines()[1:]] == ["n/a"] * 4


def test_colors_of_the_card_are_read_where_asked(fcn_edge, model_path, truth):
    for path in (truth / "labels").iterdir():
        Image.open(path).convert("RGB").save(path)
    args = ("evaluate", model_path("rgb"), "--images", "images", "--labels", "labels", "--json")
    done = fcn_edge(*args)
    assert done.returncode == 1
    assert "--labels-by color" in done.stderr
    assert json.loads(fcn_edge(*args, "--labels-by", "color").stdout)["mean_iou"] == 1


def test_missing_matplotlib_is_found_before_there_is_a_folder(fcn_edge, model_path, truth):
    (truth / "blocked" / "matplotlib").mkdir(parents=True)
    (truth / "blocked" / "matplotlib" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'matplotlib'\", name='matplotlib')"
    )
    paths = os.pathsep.join([str(truth / "blocked"), os.environ.get("PYTHONPATH", "")])
    args = ("--images", "images", "--labels", "labels", "-o", "report")
    done = fcn_edge("evaluate", model_path("rgb"), *args, env={**os.environ, "PYTHONPATH": paths})
    assert done.returncode == 1
    assert "the plot needs matplotlib, which is not installed" in done.stderr
    assert not (truth / "report").exists()
