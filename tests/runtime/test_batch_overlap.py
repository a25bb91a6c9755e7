"""Reading, the network and writing overlap, and a user does not see it."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.batch import segment_files
from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.image_job import ImageJob
from fcn_edge_runtime.imaging.finding import find_images

MODEL = Path(__file__).parents[1] / "artifacts" / "0.1.0-float.onnx"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for index in range(9):
        Image.fromarray(generator.integers(0, 256, (48, 64, 3), np.uint8)).save(folder / f"{index}.png")
    return folder


def test_results_come_in_order_with_failures_between(photos, tmp_path):
    (photos / "3.png").write_bytes(b"no picture")
    with Segmenter(MODEL, "cpu") as segmenter:
        images = find_images([str(photos)])
        results = list(segment_files(ImageJob(segmenter, tmp_path / "out"), images))
    assert [result.source for result in results] == [image.source for image in images]
    assert [result.error is None for result in results] == [index != 3 for index in range(9)]
    assert all(path.exists() for result in results for path in result.written)


def test_few_images_are_read_ahead(photos, tmp_path, monkeypatch):
    read = []
    with Segmenter(MODEL, "cpu") as segmenter:
        from fcn_edge_runtime import batch

        usual = batch.read_picture
        monkeypatch.setattr(
            batch, "read_picture", lambda path, *rest: read.append(path) or usual(path, *rest)
        )
        results = segment_files(ImageJob(segmenter, tmp_path / "out"), find_images([str(photos)]))
        next(results)
        assert len(read) <= 4
        results.close()
    assert len(read) <= 4


def test_a_full_disk_ends_the_work_and_its_threads(photos, tmp_path, monkeypatch):
    before = threading.active_count()
    with Segmenter(MODEL, "cpu") as segmenter:

        def full(_data):
            raise ArtifactError("no room") from OSError(28, "No space left on device")

        monkeypatch.setattr("fcn_edge_runtime.batch.marked", full)
        with pytest.raises(ArtifactError, match="no room"):
            list(segment_files(ImageJob(segmenter, tmp_path / "out"), find_images([str(photos)])))
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
