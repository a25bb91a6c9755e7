from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from fcn_edge_runtime import Segmenter


def test_a_folder_becomes_labels_overlays_and_areas(fcn_edge, model_path, photos, photo, tmp_path):
    done = fcn_edge("run", model_path("rgb"), photos, "-o", "out", "--recursive", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    written = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    kinds = ("json", "labels.png", "overlay.png")
    assert written == [f"{stem}.{kind}" for stem in ("a", "sub/b") for kind in kinds]
    with Segmenter(model_path("rgb"), "cpu") as segmenter:
        assert (np.asarray(Image.open(out / "a.labels.png")) == segmenter(photo).labels).all()
    assert "64x48" in done.stdout
    assert "class " in done.stdout
    assert "ran on cpu (requested)" in done.stderr


def test_json_is_one_object_and_nothing_else(fcn_edge, model_path, photos):
    (photos / "bad.png").write_bytes(b"rubbish")
    done = fcn_edge("run", model_path("rgb"), photos, "-o", "out", "--json", "-q", "--save", "json")
    report = json.loads(done.stdout)
    assert report["provider"] == "CPUExecutionProvider"
    assert [len(report["images"]), len(report["failed"])] == [1, 1]
    assert sum(entry["pixels"] for entry in report["images"][0]["classes"]) == 48 * 64
    assert "bad.png" in report["failed"][0]["error"]


def test_time_says_what_reading_network_and_writing_took(fcn_edge, model_path, photos):
    done = fcn_edge("run", model_path("rgb"), photos, "-o", "out", "--recursive", "--time")
    last = done.stdout.splitlines()[-1]
    assert last.startswith("2 in ")
    assert "a second; the network ran for" in last
    done = fcn_edge("run", model_path("rgb"), photos, "-o", "out", "--recursive", "--time", "--json")
    times = json.loads(done.stdout)["time"]
    assert times["frames"] == 2
    assert all(times[name] > 0 for name in ("seconds", "network", "reading", "writing", "per_second"))
    assert times["network_share"] == pytest.approx(times["network"] * 2 / 1000 / times["seconds"])


def test_a_shard_has_no_times(fcn_edge, model_path, photos):
    done = fcn_edge("run", model_path("rgb"), photos, "-o", "out", "--shard", "1/2", "--time")
    assert done.returncode == 2
    assert "--time is for images that are listed" in done.stderr


def test_a_bad_image_is_listed_and_the_exit_code_is_1(fcn_edge, model_path, photos):
    (photos / "bad.png").write_bytes(b"rubbish")
    done = fcn_edge("run", model_path("rgb"), photos, "-o", "out", "-q")
    assert done.returncode == 1
    first, last = done.stderr.splitlines()
    assert first.startswith("failed: ")
    assert "bad.png is not an image of a known format" in first
    assert last == "error: 1 of 2 images failed"


def test_a_bad_model_is_one_line_and_nothing_is_written(fcn_edge, photos, tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"rubbish" * 100)
    done = fcn_edge("run", "m.onnx", photos, "-o", "out")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "m.onnx is not sealed" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "code", "expected"),
    [
        (("--device", "gpu"), 2, "there is no device 'gpu'"),
        (("--save", "masks"), 2, "cannot save masks, expected some of labels, overlay, confidence"),
        (("--save", ","), 2, "cannot save nothing"),
        (("--max-pixels", "100"), 1, "3072 pixels, expected at most 100"),
    ],
)
def test_invalid_options_are_refused(fcn_edge, model_path, photos, options, code, expected):
    done = fcn_edge("run", model_path("plain"), photos, "-o", "out", *options)
    assert done.returncode == code
    assert expected in done.stderr


def test_confidence_is_written_if_the_model_has_it(fcn_edge, model_path, photos, tmp_path):
    done = fcn_edge("run", model_path("rgb"), photos / "a.png", "-o", "out", "--save", "confidence")
    assert done.returncode == 0, done.stderr
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.confidence.png"]
    done = fcn_edge("run", model_path("plain"), photos / "a.png", "-o", "out", "--save", "confidence")
    assert done.returncode == 2
    assert "'confidence', it has labels" in done.stderr


def test_masks_for_tools_are_written_and_replaced(fcn_edge, model_path, photos, tmp_path):
    for _ in range(2):  # the second run recognizes the results of the first
        args = ("run", model_path("rgb"), photos / "a.png", "-o", "out")
        done = fcn_edge(*args, "--save", "labelstudio,coco")
        assert done.returncode == 0, done.stderr
    task = json.loads((tmp_path / "out/a.labelstudio.json").read_text())
    data = json.loads((tmp_path / "out/a.coco.json").read_text())
    [prediction] = task["predictions"]
    assert len(prediction["result"]) == len(data["annotations"]) > 0
    assert 0 < prediction["score"] <= 1
    assert sum(entry["area"] for entry in data["annotations"]) == 48 * 64


def test_polygons_are_written_and_replaced(fcn_edge, model_path, photos, tmp_path):
    pytest.importorskip("rasterio")
    for _ in range(2):
        done = fcn_edge("run", model_path("rgb"), photos / "a.png", "-o", "out", "--save", "geojson")
        assert done.returncode == 0, done.stderr
    polygons = [f["properties"] for f in json.loads((tmp_path / "out/a.geojson").read_text())["features"]]
    assert sum(entry["area"] for entry in polygons) == 48 * 64
    assert all(0 < entry["score"] <= 1 for entry in polygons)


@pytest.mark.parametrize("kind", ["gray", "deep", "float", "wide", "bands4"])
def test_one_photo_runs_through_models_of_every_input(fcn_edge, model_path, photos, photo, tmp_path, kind):
    if kind == "bands4":
        Image.fromarray(np.dstack([photo, photo[..., 0]]), "RGBA").save(photos / "a.png")
    done = fcn_edge("run", model_path(kind), photos / "a.png", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "out" / "a.labels.png").size == (64, 48)
    assert Image.open(tmp_path / "out" / "a.overlay.png").size[0] == 64


def test_the_self_test_guards_an_unverified_provider(fcn_edge, model_path, photos, tmp_path):
    done = fcn_edge("run", model_path("elsewhere_wrong"), photos, "-o", "out")
    assert done.returncode == 3
    assert "the self-test failed on CPUExecutionProvider" in done.stderr
    assert not (tmp_path / "out").exists()


def test_quiet_says_nothing_at_all(fcn_edge, model_path, photos, tmp_path):
    done = fcn_edge("run", model_path("rgb"), photos, "-o", "out", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "out" / "a.labels.png").exists()


@pytest.mark.parametrize(
    ("kind", "magic"), [("jpg", b"\xff\xd8\xff"), ("webp", b"RIFF"), ("png", b"\x89PNG")]
)
def test_overlays_and_effects_have_the_format_asked_for(fcn_edge, model_path, photos, tmp_path, kind, magic):
    args = ("--format", kind, "--effect", "tint", "--class", "class 1", "--save", "overlay,labels", "-q")
    done = fcn_edge("run", model_path("rgb"), photos, "-o", "out", *args, "--no-legend")
    assert done.returncode == 0, done.stderr
    names = [f"a.effect.{kind}", "a.labels.png", f"a.overlay.{kind}"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    for name in (names[0], names[2]):
        assert (tmp_path / "out" / name).read_bytes().startswith(magic)
        assert Image.open(tmp_path / "out" / name).size == (64, 48)


def test_an_overlay_of_alpha_0_is_the_image(fcn_edge, model_path, photos, photo, tmp_path):
    args = ("--overlay-alpha", 0, "--no-legend", "--save", "overlay", "-q")
    assert fcn_edge("run", model_path("rgb"), photos, "-o", "out", *args).returncode == 0
    assert (np.asarray(Image.open(tmp_path / "out" / "a.overlay.png")) == photo).all()


def test_annotations_beside_the_images_are_not_overwritten(fcn_edge, model_path, photos):
    (photos / "a.labels.png").write_bytes((photos / "a.png").read_bytes())
    before = {path: path.read_bytes() for path in photos.iterdir() if path.is_file()}
    done = fcn_edge("run", model_path("rgb"), "photos", "-o", "photos")
    assert done.returncode == 2
    assert "a.labels.png would be overwritten" in done.stderr
    assert {path: path.read_bytes() for path in photos.iterdir() if path.is_file()} == before
    for _ in range(2):  # now they are ours
        assert fcn_edge("run", model_path("rgb"), "photos", "-o", "photos", "--overwrite").returncode == 0
    assert fcn_edge("run", model_path("rgb"), "photos", "-o", "photos").returncode == 0


@pytest.mark.security("control, direction and invisible characters in any text", "escaped")
def test_hostile_names_reach_no_terminal(fcn_edge, model_path, photos):
    for name in ("\x1b]0;title\a.png", "\u202egnp.png", "line\nbreak.png"):
        (photos / name).write_bytes(b"rubbish")
    done = fcn_edge("run", model_path("rgb"), photos, "-o", "out")
    assert done.returncode == 1
    for line in (done.stdout + done.stderr).splitlines():
        assert line.isprintable(), repr(line)
    assert "3 of 4 images failed" in done.stderr
