"""A folder of any number of images: in shards, resumable, and without a list of them in memory.

What is done is kept in a manifest in the output folder, one JSON object a line:

    {"job": {"model": ..., "save": ..., ...}}                     what the lines are of
    {"image": "a/1.jpg", "size": [480, 640], "classes": [...]}    an image whose results are on disk
    {"image": "a/2.jpg", "error": "..."}                          one that failed, which is tried again
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from fcn_edge_runtime._files import require_writable
from fcn_edge_runtime.batch import FileResult, segment_files
from fcn_edge_runtime.errors import ArtifactError, UsageError
from fcn_edge_runtime.image_job import ImageJob
from fcn_edge_runtime.imaging.finding import ImageFile, stream_images
from fcn_edge_runtime.progress import Progress, Stages

try:
    import fcntl
except ImportError:  # Windows: nothing keeps out a second process
    fcntl = None  # type: ignore[assignment]

__all__ = ["CHUNK", "Chunk", "Runner", "Shard", "ShardReport", "segment_shard"]

CHUNK = 64  # images that are segmented, and are on disk, before their lines are written
_MOST_SHARDS = 1_000_000
_HASH = 16  # bytes; that two of a thousand million names share one has a chance of 1e-21

Chunk = Sequence[ImageFile]


@dataclass(frozen=True)
class Shard:
    """One of so many parts of all images, which depends on an image's name alone.

    Attributes:
        number: from 1.
        count: how many there are.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """`3/16` is the third of sixteen.

        Raises:
            UsageError: it is something else.
        """
        match = re.fullmatch(r"([0-9]{1,7})/([0-9]{1,7})", text.strip())
        shard = cls(*map(int, match.groups())) if match else cls(0)
        if not 1 <= shard.number <= shard.count <= _MOST_SHARDS:
            raise UsageError(f"got the shard {text[:40]!r}, expected such as 3/16, the third of sixteen")
        return shard

    def has(self, name: bytes) -> bool:
        """Whether an image with this hash of its name is in this shard."""
        return int.from_bytes(name[:8], "big") % self.count == self.number - 1


Runner = Callable[[ImageJob, Iterable[Chunk]], Iterator[tuple[Chunk, list[FileResult]]]]


@dataclass(frozen=True)
class ShardReport:
    """What became of a shard.

    Attributes:
        manifest: its path.
        done: images that were segmented.
        failed: images that could not be.
        skipped: images that an earlier run had done.
    """

    manifest: Path
    done: int
    failed: int
    skipped: int


def segment_shard(
    job: ImageJob,
    folder: str,
    shard: Shard,
    *,
    resume: bool = False,
    recursive: bool = False,
    progress: Progress | None = None,
    failed: Callable[[FileResult], None] | None = None,
    run: Runner | None = None,
) -> ShardReport:
    """Segment the images of a folder that are in a shard, in no order.

    Results are named with the image's own ending: `a.jpg.labels.png`. An image that fails has its line in the
    manifest; the others are still processed.

    Args:
        job: what is made of each.
        folder: that holds them.
        shard: which of them.
        resume: skip those that the manifest names as done by the same job; else it starts again.
        recursive: whether to search subfolders.
        progress: receives how many are done.
        failed: is called with each result that has an error.
        run: does chunks of images, in any order; None does them here.

    Raises:
        UsageError: another process has the manifest; else as `segment_files` raises it for any image.
        InputError: there is no such folder.
        ArtifactError: the folder cannot be written, or the disk fails or is full.
    """
    images = stream_images(folder, recursive=recursive)
    require_writable(job.out)
    stages = Stages(progress)
    counts = {"done": 0, "failed": 0, "skipped": 0}
    with _Manifest(job, shard, resume=resume) as manifest, stages.stage("segment", None, "images") as summary:

        def wanted() -> Iterator[ImageFile]:
            for file in images:
                name = _hash(file)
                if shard.has(name):
                    if manifest.has(name):
                        counts["skipped"] += 1
                    else:
                        yield file

        for chunk, results in (run or _here)(job, _chunks(wanted())):
            manifest.add(chunk, results)
            for result in results:
                counts["done" if result.error is None else "failed"] += 1
                if result.error is not None and failed is not None:
                    failed(result)
            stages.progress.advance(counts["done"] + counts["failed"])
        summary.text = f"{counts['done']} images"
    return ShardReport(manifest.path, **counts)


def _here(job: ImageJob, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, list[FileResult]]]:
    for chunk in chunks:
        yield chunk, list(segment_files(job, chunk))


def _chunks(images: Iterator[ImageFile]) -> Iterator[Chunk]:
    while chunk := list(itertools.islice(images, CHUNK)):
        yield chunk


def _hash(file: ImageFile) -> bytes:
    return _hashed(file.stem.as_posix())


def _hashed(name: str) -> bytes:
    return hashlib.blake2b(os.fsencode(name), digest_size=_HASH).digest()


class _Manifest:
    """What is done, as lines in a file, and as sorted hashes of names: 16 bytes for each."""

    def __init__(self, job: ImageJob, shard: Shard, *, resume: bool) -> None:
        part = "" if shard.count == 1 else f"-{shard.number}-of-{shard.count}"
        self.path = job.out / f"manifest{part}.jsonl"
        self._head = {"job": job.facts()}
        self._resume = resume
        self._done = np.empty(0, f"S{_HASH}")

    def __enter__(self) -> _Manifest:  # noqa: PYI034 - typing.Self came with Python 3.11
        try:
            self._file: IO[bytes] = self.path.open("a+b")
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not (self._resume and self._read()):
                self._file.truncate(0)
                self._write([self._head])
        except BlockingIOError:
            raise UsageError(f"another process is writing {self.path}: wait for it") from None
        except OSError as error:
            raise self._unwritable(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def has(self, name: bytes) -> bool:
        """Whether the image with this hash is done."""
        key = np.array([name], self._done.dtype)[0]  # as in the array, without zeros at its end
        at = int(np.searchsorted(self._done, key))
        return at < len(self._done) and bool(self._done[at] == key)

    def add(self, chunk: Chunk, results: Sequence[FileResult]) -> None:
        """Add images whose results are on disk.

        Raises:
            ArtifactError: the disk is full or fails.
        """
        lines = []
        for file, result in zip(chunk, results, strict=True):
            facts = result.to_dict()
            facts.pop("written", None)
            facts.pop("milliseconds", None)
            lines.append({**facts, "image": file.stem.as_posix()})
        try:
            self._write(lines)
        except OSError as error:
            raise self._unwritable(error) from error

    def _write(self, lines: Iterable[dict[str, Any]]) -> None:
        self._file.write("".join(json.dumps(line) + "\n" for line in lines).encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self) -> bool:
        """Find what is done, and cut off what a kill left of the last line."""
        self._file.seek(0)
        first, hashes, whole = True, bytearray(), 0
        for line in self._file:
            try:
                found = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                found = None
            if not isinstance(found, dict):
                break
            if first and found != json.loads(json.dumps(self._head)):
                warnings.warn(
                    f"{self.path} is of another model or other options: all start again", stacklevel=2
                )
                return False
            if isinstance(found.get("image"), str) and "error" not in found:
                hashes += _hashed(found["image"])
            first, whole = False, whole + len(line)
        self._done = np.sort(np.frombuffer(bytes(hashes), self._done.dtype))
        self._file.truncate(whole)
        return not first

    def _unwritable(self, error: OSError) -> ArtifactError:
        return ArtifactError(f"{self.path} cannot be written ({error.strerror or error})")
