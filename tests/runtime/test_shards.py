"""A folder of any number of images: in shards, resumable, in memory that does not grow."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcn_edge_runtime import InputError, Segmenter, UsageError
from fcn_edge_runtime.batch import FileResult, segment_files
from fcn_edge_runtime.image_job import ImageJob
from fcn_edge_runtime.imaging import finding
from fcn_edge_runtime.imaging.finding import find_images, stream_images
from fcn_edge_runtime.shards import Shard, segment_shard

MODEL = Path(__file__).parents[1] / "artifacts" / "0.1.0-sparse.onnx"
NAMES = ("0.png", "1.png", "2.png", "3.png", "4.png", "5.png", "sub/0.png", "sub/é.jpg")


@pytest.fixture(scope="module")
def segmenter():
    with Segmenter(MODEL, "cpu", 1) as opened:
        yield opened


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    for name in NAMES:
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), np.uint8)).save(tmp_path / "photos" / name)
    return str(tmp_path / "photos")


@pytest.fixture
def job(segmenter, tmp_path):
    return ImageJob(segmenter, tmp_path / "out", ("labels",))


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(job, photos, shard="1/1", **more):
    return segment_shard(job, photos, Shard.parse(shard), recursive=True, **more)


def test_shards_together_are_the_folder(job, photos, segmenter, tmp_path):
    done = [run(job, photos, f"{number}/3") for number in (1, 2, 3)]
    assert sum(report.done for report in done) == len(NAMES)
    named = [line["image"] for report in done for line in lines(report.manifest)[1:]]
    assert sorted(named) == sorted(NAMES)
    whole = tmp_path / "whole"
    images = find_images([photos], recursive=True)
    list(segment_files(ImageJob(segmenter, whole, ("labels",)), images))
    for image in images:
        ending = image.source.suffix
        expected = (whole / f"{image.stem}.labels.png").read_bytes()
        assert (tmp_path / "out" / f"{image.relative}{ending}.labels.png").read_bytes() == expected


def test_a_killed_run_goes_on_where_it_was(job, photos):
    manifest = run(job, photos).manifest
    kept = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join(kept[:4]) + kept[4][:-5])  # three images, and a half of the fourth's line
    report = run(job, photos, resume=True)
    assert (report.done, report.skipped) == (len(NAMES) - 3, 3)
    assert sorted(line["image"] for line in lines(manifest)[1:]) == sorted(NAMES)
    assert run(job, photos, resume=True).done == 0
    assert run(job, photos).done == len(NAMES)  # without --resume


def test_every_name_of_many_is_found_again(job, tmp_path):
    (tmp_path / "photos").mkdir()
    for number in range(1000):  # some have hashes that end in zeros
        (tmp_path / "photos" / f"{number}.png").touch()

    def instead(_, chunks):
        return ((chunk, [FileResult(file.source, size=(1, 1)) for file in chunk]) for chunk in chunks)

    photos = str(tmp_path / "photos")
    assert run(job, photos, run=instead).done == 1000
    assert run(job, photos, run=instead, resume=True).skipped == 1000


def test_another_job_starts_again_and_says_so(job, photos, segmenter, tmp_path):
    run(job, photos)
    with pytest.warns(UserWarning, match="all start again"):
        report = run(ImageJob(segmenter, tmp_path / "out", ("labels", "json")), photos, resume=True)
    assert report.skipped == 0


def test_a_bad_image_is_a_line_and_is_tried_again(job, photos):
    (Path(photos) / "3.png").write_bytes(b"no picture")
    failed = []
    report = run(job, photos, failed=failed.append)
    assert (report.done, report.failed, len(failed)) == (len(NAMES) - 1, 1, 1)
    (bad,) = [line for line in lines(report.manifest)[1:] if "error" in line]
    assert bad["image"] == "3.png"
    report = run(job, photos, resume=True)
    assert (report.done, report.failed, report.skipped) == (0, 1, len(NAMES) - 1)


def test_a_manifest_has_one_writer(job, photos):
    def again(_, __):
        with pytest.raises(UsageError, match="another process is writing"):
            run(job, photos)
        return iter(())

    run(job, photos, run=again)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/2", "1/99999999"])
def test_a_shard_that_is_not_one_is_refused(text):
    with pytest.raises(UsageError, match="such as 3/16"):
        Shard.parse(text)


def test_a_folder_that_is_missing_leaves_no_manifest(job, tmp_path):
    with pytest.raises(InputError, match="no folder"):
        run(job, str(tmp_path / "none"))
    assert not (tmp_path / "out").exists()


class Entry:
    def __init__(self, number):
        self.name, self.path = f"{number:09}.jpg", ""

    def is_symlink(self):
        return False

    def is_dir(self):
        return False


def test_names_of_any_number_take_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(finding, "_unsorted_entries", lambda _: map(Entry, range(100_000)))
    objects = [len(gc.get_objects()) for n, _ in enumerate(stream_images(str(tmp_path))) if n % 33_333 == 0]
    assert len(objects) == 4
    assert max(objects) - min(objects) < 1000
