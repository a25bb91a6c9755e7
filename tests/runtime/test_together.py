"""Images of one size in one call: nothing changes but the time."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcn_edge_runtime import Segmenter, SessionOptions
from fcn_edge_runtime.batch import segment_files
from fcn_edge_runtime.errors import ModelError, UsageError
from fcn_edge_runtime.image_job import ImageJob
from fcn_edge_runtime.imaging.finding import find_images
from fcn_edge_runtime.together import segment_together

MODEL = Path(__file__).parents[1] / "artifacts" / "0.1.0-float.onnx"
SIZES = [(48, 64)] * 5 + [(48, 65), (48, 64), (48, 64)]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for index, size in enumerate(SIZES):
        Image.fromarray(generator.integers(0, 256, (*size, 3), np.uint8)).save(folder / f"{index}.png")
    (folder / "2.png").write_bytes(b"no picture")
    return folder


def test_a_batch_writes_the_files_of_one_by_one(photos, tmp_path):
    images, calls = find_images([str(photos)]), []
    with Segmenter(MODEL, "cpu") as segmenter:
        alone = list(segment_files(ImageJob(segmenter, tmp_path / "alone"), images))

        class Counting(Segmenter):
            def __call__(self, image):
                calls.append(image.shape[0] if image.ndim == 4 else 1)
                return super().__call__(image)

        with Counting(MODEL, "cpu") as counting:
            job = ImageJob(counting, tmp_path / "batch", together=3)
            together = list(segment_files(job, images))
    assert [r.error for r in together] == [r.error for r in alone]
    assert [[p.read_bytes() for p in r.written] for r in together] == [
        [p.read_bytes() for p in r.written] for r in alone
    ]
    assert calls == [2, 2, 1, 2]


def test_a_batch_that_fails_is_run_one_by_one():
    class Small(Segmenter):
        def __call__(self, image):
            if image.ndim == 4:
                raise ModelError("the memory is not enough")
            return super().__call__(image)

    images = [np.zeros((48, 64, 3), np.uint8)] * 2
    with Small(MODEL, "cpu") as segmenter:
        assert [f.result().labels.shape for f in segment_together(segmenter, images)] == [(48, 64)] * 2


def test_a_batch_has_no_session_of_one_size(photos, tmp_path):
    with Segmenter(MODEL, "cpu", options=SessionOptions(size=(48, 64))) as segmenter:
        job = ImageJob(segmenter, tmp_path / "out", together=2)
        with pytest.raises(UsageError, match="of one size: leave out --batch"):
            segment_files(job, find_images([str(photos)]))
