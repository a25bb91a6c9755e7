"""Images on a Ray cluster: a class for `map_batches` of Ray Data, and the folders of `fcn-edge run --ray`.

    import ray
    from fcn_edge_runtime.ray import Labeler

    images = ray.data.read_images("s3://bucket/photos", include_paths=True)
    images.map_batches(Labeler, fn_constructor_kwargs={"model": "/shared/road.onnx"}, concurrency=8)

Importing this module needs no Ray. Maps of a raster are made by a cluster with `fcn-edge map --ray`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime._cluster import done_by_actors
from fcn_edge_runtime.batch import FileResult, check_files, segment_files
from fcn_edge_runtime.errors import FcnEdgeError, ModelError
from fcn_edge_runtime.image_job import ImageJob
from fcn_edge_runtime.imaging.finding import ImageFile
from fcn_edge_runtime.imaging.reading import read_image
from fcn_edge_runtime.progress import Progress, Stages
from fcn_edge_runtime.segmenter import Segmenter
from fcn_edge_runtime.shards import Chunk, Runner

__all__ = ["Labeler", "runner_on_cluster", "segment_on_cluster"]

_FEW = 8  # images that an actor is given at once, where all are known


class Labeler:
    """Labels the images of batches; the model is opened once in each actor.

    Args:
        model: path of a file that `fcn-edge export` wrote, the same on every node.
        image: the column of images: arrays (H, W, C), of the same size or not, or paths of image files.
        labels: the column that is added, (H, W) arrays.
        device: as for `Segmenter`.
        threads: as for `Segmenter`; Ray gives an actor one core unless told otherwise.
        digest: the SHA-256 that the file must have; None takes any.

    Raises:
        ModelError: the file is another one than that of the digest.
        FcnEdgeError: as `Segmenter` raises it.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        image: str = "image",
        labels: str = "labels",
        device: str = "auto",
        threads: int = 1,
        digest: str | None = None,
    ) -> None:
        self._image, self._labels = image, labels
        self._segmenter = Segmenter(model, device, threads, outputs=("labels",))
        if digest is not None and self._segmenter.digest != digest:
            raise ModelError(f"{model} is another file on this node: its SHA-256 is not {digest[:12]}...")

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """A batch with two columns more.

        Args:
            batch: columns of the same length.

        Returns:
            All columns as they are, the labels, and `error`: empty, or why a row has no labels, which are
            then of size 0 x 0.
        """
        labels, errors = [], []
        for value in batch[self._image]:
            found, error = self._one(value)
            labels.append(found)
            errors.append(error)
        return {**batch, self._labels: _column(labels), "error": np.array(errors, object)}

    def _one(self, value: Any) -> tuple[np.ndarray, str]:
        card = self._segmenter.card
        try:
            image = (
                read_image(value, card.input) if isinstance(value, str | os.PathLike) else np.asarray(value)
            )
            return self._segmenter(image).labels, ""
        except FcnEdgeError as error:
            return np.empty((0, 0), card.label_dtype), str(error)


def _column(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """Arrays of any sizes as one column."""
    found = list(arrays)
    column = np.empty(len(found), object)
    column[:] = found
    return column


def segment_on_cluster(
    job: ImageJob, images: Sequence[ImageFile], address: str, count: int | None, progress: Progress | None
) -> list[FileResult]:
    """`segment_files` by actors of a cluster, which write the results: those of a lost one are made again.

    Args:
        job: what is made of each image.
        images: from `find_images`.
        address: as for `done_by_actors`, as is the count of actors.
        count: see above.
        progress: receives how many are done.

    Raises:
        FcnEdgeError: as `segment_files` and `done_by_actors` raise it.
    """
    check_files(job, images)
    chunks = [images[first : first + _FEW] for first in range(0, len(images), _FEW)]
    stages, found = Stages(progress), dict[Path, FileResult]()
    with stages.stage("segment", len(images), "images") as summary:
        for chunk, results in runner_on_cluster(address, count, len(chunks))(job, chunks):
            found.update(zip((file.stem for file in chunk), results, strict=True))
            stages.progress.advance(len(found), len(images))
        summary.text = f"{len(images)} images"
    return [found[file.stem] for file in images]


def runner_on_cluster(address: str, count: int | None, most: int | None = None) -> Runner:
    """What does chunks of images on a cluster, for `segment_shard`."""

    def run(job: ImageJob, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, list[FileResult]]]:
        return done_by_actors(_Images, (job, Path.cwd()), chunks, address, count, most)

    return run


class _Images:
    """An actor: names mean what they mean to the process that made it."""

    def __init__(self, given: tuple[ImageJob, Path]) -> None:
        self._job, folder = given
        with contextlib.suppress(OSError):  # where all names are absolute, it need not be there
            os.chdir(folder)

    def do(self, images: Chunk) -> list[FileResult]:
        return list(segment_files(self._job, images))
