from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcn_edge_runtime import InputError, Segmenter, UsageError
from fcn_edge_runtime._files import require_writable, write_whole
from fcn_edge_runtime.batch import segment_files
from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.imaging.finding import find_images


@pytest.fixture(scope="module")
def segmenter(model_path):
    with Segmenter(model_path("rgb"), "cpu", outputs=("labels", "confidence")) as opened:
        yield opened


@pytest.fixture
def photos(tmp_path, photo):
    """photos/a.png, photos/b.jpg, photos/sub/a.png, photos/notes.txt, photos/.hidden.png"""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "sub/a.png", ".hidden.png"):
        Image.fromarray(photo).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    return folder


def stems(*inputs, **options):
    return [job.stem.as_posix() for job in find_images([str(i) for i in inputs], **options)]


def test_folders_files_and_patterns_are_found_once_and_in_order(photos):
    assert stems(photos) == ["a", "b"]
    assert stems(photos, recursive=True) == ["a", "b", "sub/a"]
    assert stems(photos / "b.jpg", photos, photos) == ["b", "a"]
    assert stems(f"{photos}/*.png") == ["a"]
    assert stems(f"{photos}/**/*.png") == ["a", "sub/a"]
    assert stems(f"{photos}/**") == ["a", "b", "sub/a"]
    assert stems(f"{photos}/s*") == ["sub/a"]


def test_a_name_with_wildcards_is_a_name_if_the_file_exists(photos, photo):
    Image.fromarray(photo).save(photos / "a[1].png")
    assert stems(photos / "a[1].png") == ["a[1]"]


def test_images_with_the_same_stem_get_separate_results(photos, photo, segmenter, tmp_path):
    Image.fromarray(photo[::-1]).save(photos / "a.jpg")
    assert sorted(stems(photos)) == ["a.jpg", "a.png", "b"]
    assert stems(photos / "a.png", photos / "sub" / "a.png") == ["a.png", "a.png-2"]
    Image.fromarray(photo).save(photos / "A.png")
    found = stems(photos)
    assert len({stem.lower() for stem in found}) == len(found) == 4
    done = list(segment_files(segmenter, find_images([str(photos)]), tmp_path / "out"))
    written = [path for result in done for path in result.written]
    assert len(set(written)) == len(written) == 12


def test_earlier_results_in_a_folder_are_not_taken_for_images(photos, segmenter):
    for _ in range(2):
        done = list(segment_files(segmenter, find_images([str(photos)]), photos))
        assert [result.source.name for result in done] == ["a.png", "b.jpg"]


def test_finding_nothing_is_an_error_that_names_the_endings(tmp_path):
    for inputs in ([str(tmp_path)], [str(tmp_path / "*.png")], []):
        with pytest.raises(InputError, match=r"no images in .* expected names ending in \.png"):
            find_images(inputs)
    with pytest.raises(InputError, match="there is no image or folder"):
        find_images([str(tmp_path / "none.png")])


def test_a_pattern_cannot_lead_out_of_the_output_folder(photos):
    assert stems(f"{photos}/*/../a.png") == ["a"]


def test_results_are_the_labels_an_overlay_and_the_areas(photos, segmenter, photo, tmp_path):
    out = tmp_path / "out"
    (result,) = segment_files(
        segmenter, find_images([str(photos / "a.png")]), out, ("labels", "overlay", "confidence", "json")
    )
    assert sorted(path.name for path in out.iterdir()) == [
        "a.confidence.png",
        "a.json",
        "a.labels.png",
        "a.overlay.png",
    ]
    expected = segmenter(photo)
    assert (np.asarray(Image.open(out / "a.labels.png")) == expected.labels).all()
    data = json.loads((out / "a.json").read_text())
    assert data["model"]["sha256"] == segmenter.digest
    assert data["provider"] == "CPUExecutionProvider"
    assert sum(entry["pixels"] for entry in data["classes"]) == 48 * 64
    assert result.size == (48, 64)
    before = (out / "a.json").read_bytes()
    list(segment_files(segmenter, find_images([str(photos / "a.png")]), out))
    assert (out / "a.json").read_bytes() == before


def test_one_bad_image_does_not_stop_the_others(photos, segmenter, tmp_path):
    (photos / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n rubbish")
    done = list(segment_files(segmenter, find_images([str(photos)], recursive=True), tmp_path / "out"))
    assert [result.error is None for result in done] == [False, True, True]
    assert "a.png" in done[0].error
    assert not list((tmp_path / "out").glob("a.*"))


def test_an_input_is_never_overwritten(photos, segmenter, photo):
    Image.fromarray(photo).save(photos / "a.labels.png")
    jobs = find_images([str(photos / "a.png"), str(photos / "a.labels.png")])
    before = (photos / "a.labels.png").read_bytes()
    with pytest.raises(UsageError, match="would overwrite an input"):
        segment_files(segmenter, jobs, photos)
    assert (photos / "a.labels.png").read_bytes() == before


def test_invalid_options_are_found_before_the_first_image(photos, segmenter, model_path, tmp_path):
    jobs = find_images([str(photos)])
    out = tmp_path / "out"
    for save in ((), ("label",), ("labels", "masks")):
        with pytest.raises(UsageError, match="expected some of labels, overlay, confidence"):
            segment_files(segmenter, jobs, out, save)
    with Segmenter(model_path("plain"), "cpu") as plain, pytest.raises(UsageError, match="confidence"):
        segment_files(plain, jobs, out, ("confidence",))
    assert not out.exists()


def test_an_unwritable_folder_is_found_before_the_first_image(photos, segmenter, tmp_path):
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nothing"), Path("a\0b")):
        with pytest.raises(ArtifactError, match="cannot be written"):
            segment_files(segmenter, find_images([str(photos)]), out)


def test_a_full_disk_leaves_the_old_file_whole():
    if not os.path.exists("/dev/full"):  # noqa: PTH110 - a device, no path of ours
        pytest.skip("needs /dev/full")
    with pytest.raises(ArtifactError, match="cannot be written"):
        write_whole(Path("/dev/full/x"), b"new")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.png"
    target.mkdir()
    (target / "keep").write_text("old")
    with pytest.raises(ArtifactError):
        write_whole(target, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (target / "keep").read_text() == "old"
    require_writable(tmp_path / "new" / "folders")
    assert list((tmp_path / "new" / "folders").iterdir()) == []


def test_a_process_killed_in_a_write_leaves_the_old_or_new_file(tmp_path):
    script = tmp_path / "writer.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from fcn_edge_runtime._files import write_whole\n"
        "print('ready', flush=True)\n"
        "number = 0\n"
        "while True:\n"
        "    number = (number + 1) % 250\n"
        "    write_whole(Path(sys.argv[1]), bytes([number]) * 3_000_000)\n"
    )
    target = tmp_path / "file.bin"
    write_whole(target, b"\0" * 3_000_000)
    for attempt in range(8):
        process = subprocess.Popen([sys.executable, str(script), str(target)], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(0.01 + 0.013 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        data = target.read_bytes()
        assert len(data) == 3_000_000
        assert len(set(data)) == 1
