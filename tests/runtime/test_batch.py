from __future__ import annotations

import contextlib
import glob
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
from PIL.PngImagePlugin import PngInfo

from fcn_edge_runtime import InputError, Segmenter, UsageError
from fcn_edge_runtime._files import require_writable, write_whole
from fcn_edge_runtime.batch import segment_files
from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.image_job import ImageJob, SaveOptions
from fcn_edge_runtime.imaging.finding import find_images, stream_images


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
    done = list(segment_files(ImageJob(segmenter, tmp_path / "out"), find_images([str(photos)])))
    written = [path for result in done for path in result.written]
    assert len(set(written)) == len(written) == 12


def test_earlier_results_in_a_folder_are_not_taken_for_images(photos, segmenter):
    for _ in range(2):
        done = list(segment_files(ImageJob(segmenter, photos), find_images([str(photos)])))
        assert [result.source.name for result in done] == ["a.png", "b.jpg"]


def test_finding_nothing_is_an_error_that_names_the_endings(tmp_path):
    for inputs in ([str(tmp_path)], [str(tmp_path / "*.png")], []):
        with pytest.raises(InputError, match=r"no images in .* expected names ending in \.png"):
            find_images(inputs)
    with pytest.raises(InputError, match="there is no image or folder"):
        find_images([str(tmp_path / "none.png")])


def test_pictures_of_other_kinds_in_a_folder_are_counted(photos):
    for name in ("x.GIF", "y.gif", "z.heic", "clip.mp4", "clip.overlay.mp4", "notes.txt", ".hidden.gif"):
        (photos / name).touch()
    with pytest.warns(UserWarning, match=r"left out of .*: 2 \.gif, 1 \.(heic|mp4), 1 \.(heic|mp4): convert"):
        assert find_images([str(photos)])
    with pytest.warns(UserWarning, match=r"left out of .*: 2 \.gif"):
        assert list(stream_images(str(photos)))


def test_a_pattern_cannot_lead_out_of_the_output_folder(photos):
    assert stems(f"{photos}/*/../a.png") == ["a"]


def test_results_are_the_labels_an_overlay_and_the_areas(photos, segmenter, photo, tmp_path):
    out = tmp_path / "out"
    (result,) = segment_files(
        ImageJob(segmenter, out, ("labels", "overlay", "confidence", "json")),
        find_images([str(photos / "a.png")]),
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
    list(segment_files(ImageJob(segmenter, out), find_images([str(photos / "a.png")])))
    assert (out / "a.json").read_bytes() == before


def test_one_bad_image_does_not_stop_the_others(photos, segmenter, tmp_path):
    (photos / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n rubbish")
    done = list(
        segment_files(ImageJob(segmenter, tmp_path / "out"), find_images([str(photos)], recursive=True))
    )
    assert [result.error is None for result in done] == [False, True, True]
    assert "a.png" in done[0].error
    assert not list((tmp_path / "out").glob("a.*"))


def test_an_input_is_never_overwritten(photos, segmenter, photo):
    Image.fromarray(photo).save(photos / "a.labels.png")
    jobs = find_images([str(photos / "a.png"), str(photos / "a.labels.png")])
    before = (photos / "a.labels.png").read_bytes()
    with pytest.raises(UsageError, match="would overwrite an input"):
        segment_files(ImageJob(segmenter, photos), jobs)
    assert (photos / "a.labels.png").read_bytes() == before


def test_invalid_options_are_found_before_the_first_image(photos, segmenter, model_path, tmp_path):
    jobs = find_images([str(photos)])
    out = tmp_path / "out"
    for save in ((), ("label",), ("labels", "masks")):
        with pytest.raises(UsageError, match="expected some of labels, overlay, confidence"):
            segment_files(ImageJob(segmenter, out, save), jobs)
    with Segmenter(model_path("plain"), "cpu") as plain, pytest.raises(UsageError, match="confidence"):
        segment_files(ImageJob(plain, out, ("confidence",)), jobs)
    assert not out.exists()


def test_an_unwritable_folder_is_found_before_the_first_image(photos, segmenter, tmp_path):
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nothing"), Path("a\0b")):
        with pytest.raises(ArtifactError, match="cannot be written"):
            segment_files(ImageJob(segmenter, out), find_images([str(photos)]))


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


def test_every_name_of_a_file_and_folder_is_found(photos):
    (photos / "again.png").symlink_to(photos / "a.png")
    os.link(photos / "a.png", photos / "hard.png")
    (photos / "linked").symlink_to(photos / "sub", target_is_directory=True)
    (photos / "broken.png").symlink_to(photos / "none.png")
    assert stems(photos) == ["a", "again", "b", "broken", "hard"]
    expected = ["a", "again", "b", "broken", "hard", "linked/a", "sub/a"]
    assert stems(photos, recursive=True) == expected
    assert stems(f"{photos}/**/*.png") == [stem for stem in expected if stem != "b"]


def test_links_that_lead_back_end(photos):
    (photos / "self").symlink_to(photos, target_is_directory=True)
    (photos / "sub" / "up").symlink_to("..", target_is_directory=True)
    (photos / "round.png").symlink_to("round.png")
    for found in (stems(photos, recursive=True), stems(f"{photos}/**")):
        assert [stem for stem in found if stem != "round"] == ["a", "b", "sub/a"]


@pytest.mark.parametrize("pattern", ["**/[as]*.png", "s*/**/a.*", "**/sub/?.png", "**"])
def test_patterns_with_folders_find_what_glob_finds(photos, pattern):
    found = {str(job.source) for job in find_images([f"{photos}/{pattern}"])}
    hits = glob.glob(f"{photos}/{pattern}", recursive=True)  # noqa: PTH207 - what shells do
    assert found == {hit for hit in hits if hit.endswith((".png", ".jpg"))}


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_earlier_results_of_every_format_are_not_images(photos, segmenter, ending):
    options = SaveOptions(format=ending)
    for _ in range(2):  # the second run replaces the first one's results
        done = list(segment_files(ImageJob(segmenter, photos, options=options), find_images([str(photos)])))
        assert [result.source.name for result in done] == ["a.png", "b.jpg"]
        assert Image.open(photos / f"a.overlay.{ending}").size[0] == 64


def test_files_that_are_not_our_results_are_not_replaced(photos, segmenter):
    (photos / "b.json").write_text('{"shapes": []}')
    with pytest.raises(UsageError, match=r"b\.json would be overwritten.*--overwrite"):
        segment_files(ImageJob(segmenter, photos), find_images([str(photos)]))
    assert sorted(p.name for p in photos.iterdir()) == [
        *(".hidden.png", "a.png", "b.jpg", "b.json", "notes.txt", "sub")
    ]
    list(
        segment_files(
            ImageJob(segmenter, photos, options=SaveOptions(overwrite=True)), find_images([str(photos)])
        )
    )
    assert json.loads((photos / "b.json").read_text())["image"] == "b.jpg"


def test_a_result_that_somebody_edited_is_not_replaced(photos, segmenter, tmp_path):
    out, jobs = tmp_path / "out", find_images([str(photos / "a.png")])
    list(segment_files(ImageJob(segmenter, out), jobs))
    for name in ("a.labels.png", "a.overlay.png"):
        before = (out / name).read_bytes()
        image = Image.open(out / name)
        image.load()
        text = image.text  # an editor that keeps comments
        info = PngInfo()
        for key, value in text.items():
            info.add_text(key, value)
        image.putpixel((3, 3), 1 if image.mode == "P" else (1, 2, 3))
        image.save(out / name, pnginfo=info)
        with pytest.raises(UsageError, match="changed since"):
            segment_files(ImageJob(segmenter, out), jobs)
        (out / name).write_bytes(before)
    data = json.loads((out / "a.json").read_text())
    (out / "a.json").write_text(json.dumps({**data, "reviewed": True}, indent=2) + "\n")
    with pytest.raises(UsageError, match=r"a\.json would be overwritten"):
        segment_files(ImageJob(segmenter, out), jobs)


def test_names_of_any_characters_are_written_where_asked(photo, segmenter, tmp_path):
    names = [
        "a#b.png",
        "50%20.png",
        "what?.png",
        "line\nbreak.png",
        "..png",
        "…" * 40 + ".png",
        "a\udcff.png",
    ]
    folder = tmp_path / "in#%"
    folder.mkdir()
    for name in names:
        Image.fromarray(photo).save(tmp_path / "x.png")
        (tmp_path / "x.png").rename(folder / name)
    out = tmp_path / "out%41#\n"
    jobs = find_images([str(folder / name) for name in names])
    done = list(segment_files(ImageJob(segmenter, out, ("labels", "json")), jobs))
    assert [result.error for result in done] == [None] * len(names)
    stems = [name if name == "..png" else name.removesuffix(".png") for name in names]
    expected = {f"{stem}.{ending}" for stem in stems for ending in ("labels.png", "json")}
    assert {path.name for path in out.iterdir()} == expected
    assert json.loads((out / "a\udcff.json").read_text())["image"] == "a\udcff.png"


@pytest.mark.parametrize("character", ["x", "ä", "漢", "🚗"])
def test_a_name_too_long_for_its_results_fails_alone(photos, photo, segmenter, tmp_path, character):
    stem = character * (251 // len(character.encode()))
    Image.fromarray(photo).save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(photos / f"{stem}.png")
    done = {
        r.source.stem: r
        for r in segment_files(ImageJob(segmenter, tmp_path / "out"), find_images([str(photos)]))
    }
    assert "File name too long" in done[stem].error
    assert [done["a"].error, done["b"].error] == [None, None]
    fitting = character * (240 // len(character.encode()))
    (photos / f"{stem}.png").rename(photos / f"{fitting}.png")
    jobs = find_images([str(photos / f"{fitting}.png")])
    (result,) = segment_files(ImageJob(segmenter, tmp_path / "out"), jobs)
    assert result.error is None


def test_a_subfolder_that_cannot_be_made_fails_its_images_alone(photos, segmenter, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").write_text("a file")
    jobs = find_images([str(photos)], recursive=True)
    errors = [r.error for r in segment_files(ImageJob(segmenter, tmp_path / "out"), jobs)]
    assert errors[:2] == [None, None]
    assert "cannot be written" in errors[2]


def test_an_overlay_of_12_bit_data_is_bright_with_one_warning(segmenter, tmp_path):
    ramp = np.tile(np.arange(0, 4096, 64, dtype=np.uint16), (48, 1))
    for name in ("a.png", "b.png"):
        Image.fromarray(ramp).save(tmp_path / name)
    jobs, options = find_images([str(tmp_path)]), SaveOptions(alpha=0, legend=False)
    with pytest.warns(UserWarning, match=r"values 0\.\.4095 of 0\.\.65535") as caught:
        list(segment_files(ImageJob(segmenter, tmp_path / "out", ("overlay",), options=options), jobs))
    assert len(caught) == 1
    overlay = np.asarray(Image.open(tmp_path / "out" / "a.overlay.png"))
    assert (overlay == (ramp >> 4)[..., None]).all()


@pytest.mark.parametrize(("name", "classes"), [("binary", 1), ("float", None)])
def test_probabilities_are_saved_as_numbers_and_gray(photos, photo, tmp_path, name, classes):
    path = Path(__file__).parents[1] / "artifacts" / f"0.1.0-{name}.onnx"
    with Segmenter(path, "cpu", outputs=("labels", "probabilities")) as model:
        list(
            segment_files(ImageJob(model, tmp_path, ("probabilities",)), find_images([str(photos / "a.png")]))
        )
        expected = model(photo).probabilities
        ids = [entry.id for entry in model.card.classes]
    stored = np.load(tmp_path / "a.probabilities.npz")
    assert np.array_equal(stored["probabilities"], expected)
    assert len(stored["classes"]) == len(expected) == (classes or len(ids))
    for number in ids[-len(expected) :]:
        gray = np.asarray(Image.open(tmp_path / f"a.probability-{number}.png"))
        assert np.array_equal(gray, np.rint(expected[number - len(ids)] * 255))
    assert len(list(tmp_path.glob("a.probability-*.png"))) == len(ids)


@pytest.mark.security("an image that cannot be written, or exceeds the memory", "fails alone")
def test_a_target_that_is_a_folder_fails_alone(photos, segmenter, tmp_path):
    out = tmp_path / "out"
    (out / "a.overlay.png").mkdir(parents=True)
    options = SaveOptions(overwrite=True)
    done = list(segment_files(ImageJob(segmenter, out, options=options), find_images([str(photos)])))
    assert "a.overlay.png, which is a folder" in done[0].error
    assert done[1].error is None


@pytest.mark.security("an image that cannot be written, or exceeds the memory", "fails alone")
@pytest.mark.parametrize("error", [MemoryError(), ArtifactError("a.png cannot be written (Input is busy)")])
def test_an_image_that_fails_in_writing_fails_alone(photos, segmenter, tmp_path, monkeypatch, error):
    from fcn_edge_runtime import image_job

    calls, real = iter(range(9)), image_job.labels_png

    def labels_png(labels, card):
        if next(calls) == 0:
            raise error
        return real(labels, card)

    monkeypatch.setattr(image_job, "labels_png", labels_png)
    first, second = segment_files(
        ImageJob(segmenter, tmp_path / "out", ("labels",)), find_images([str(photos)])
    )
    assert ("memory is not enough" if isinstance(error, MemoryError) else "is busy") in first.error
    assert second.error is None


@pytest.mark.security("folders that link to each other", "searched once, or refused within a second")
@pytest.mark.parametrize("pattern", ["", "**/*.png", "*/*/*/*/*/*/*/*/*.png"])
def test_folders_that_link_to_each_other_end(tmp_path, pattern):
    names = [f"d{i}" for i in range(12)]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
        for other in set(names) - {name}:
            (tmp_path / name / f"to {other}").symlink_to(f"../{other}")
    with pytest.raises(InputError, match="links to folders, which multiply its files"):
        find_images([str(tmp_path / pattern)], recursive=True)


@pytest.mark.parametrize("pattern", ["*/*/*/*/*/*/*/*", "*/" * 40 + "a.png"])
def test_patterns_do_not_follow_links_that_lead_back(photos, pattern):
    for name in ("x", "y", "z"):
        (photos / name).symlink_to(".")
    with pytest.raises(InputError, match="no images in"):
        find_images([str(photos / pattern)])


@pytest.fixture
def deep(tmp_path, monkeypatch):
    """A folder with an image 1500 folders below it. pytest's own cleanup cannot remove it, and would fail."""
    top = tmp_path / "deep"
    top.mkdir()
    monkeypatch.chdir(top)
    for _ in range(1500):
        Path("d").mkdir()
        os.chdir("d")
    Path("a.png").touch()
    yield top
    subprocess.run(["rm", "-r", top], check=True, cwd=tmp_path)


def test_a_very_deep_folder_is_searched(deep):
    (found,) = find_images([str(deep)], recursive=True)
    assert found.stem.name == "a"


def test_thousands_of_images_of_one_name_are_numbered(tmp_path):
    for number in range(4000):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "a.png").touch()
    start = time.thread_time()
    found = find_images([str(tmp_path / str(number) / "a.png") for number in range(4000)])
    assert len({image.stem for image in found}) == 4000
    assert time.thread_time() - start < 2


@pytest.mark.security("patterns with any number of wildcards", "matched or not, within a second")
@pytest.mark.parametrize(
    "pattern", ["**/" * 300 + "*.png", "**/d/" * 60 + "*.jpg", "**/" + "*a" * 100 + ".png"]
)
def test_patterns_of_many_wildcards_end(tmp_path, pattern):
    below = tmp_path / "/".join("d" * 60)
    below.mkdir(parents=True)
    (below / ("a" * 200 + ".png")).touch()
    began = time.process_time()
    with contextlib.suppress(InputError):
        find_images([str(tmp_path / pattern)])
    assert time.process_time() - began < 1


def test_a_link_to_a_folder_above_is_not_followed(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "a.png").touch()
    (tmp_path / "photos" / "b.png").touch()
    (tmp_path / "photos" / "up").symlink_to("..")
    (tmp_path / "photos" / "root").symlink_to("/")
    found = find_images([str(tmp_path / "photos")], recursive=True)
    assert [image.source.name for image in found] == ["b.png"]
