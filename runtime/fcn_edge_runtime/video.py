"""Video files: their frames as arrays, and videos of overlays and effects made of them.

Results are `STEM.overlay.mp4`, `STEM.effect.mp4` and `STEM.json`, below the output folder.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime._files import require_writable, write_whole
from fcn_edge_runtime._overlap import overlapped
from fcn_edge_runtime.batch import FileResult
from fcn_edge_runtime.errors import InputError, ModelError, UsageError
from fcn_edge_runtime.image_job import SaveOptions
from fcn_edge_runtime.imaging.areas import areas_from_counts
from fcn_edge_runtime.imaging.conversion import convert
from fcn_edge_runtime.imaging.effects import Effect
from fcn_edge_runtime.imaging.finding import ImageFile
from fcn_edge_runtime.imaging.marks import is_unchanged_video, mark_video, marked
from fcn_edge_runtime.imaging.reading import import_pillow
from fcn_edge_runtime.placing import check_place, is_own, refuse_foreign
from fcn_edge_runtime.progress import SILENT, Progress
from fcn_edge_runtime.robot.camera.recording import VideoWriter, new_video
from fcn_edge_runtime.robot.camera.source import VideoSource, import_opencv, open_source
from fcn_edge_runtime.robot.frames import as_array
from fcn_edge_runtime.segmentation import Segmentation
from fcn_edge_runtime.segmenter import Segmenter

__all__ = ["VIDEO_SAVES", "VideoResult", "segment_videos", "video_frames"]

VIDEO_SAVES = ("overlay", "effect", "json")


def video_frames(path: str | os.PathLike[str]) -> Iterator[np.ndarray]:
    """The frames of a video file, in order: (H, W, 3) uint8 RGB each. Needs OpenCV, the extra `camera`.

    Args:
        path: the file, or the URL of one.

    Raises:
        InputError: it is missing, is not a video, or OpenCV is missing; after the last frame that can be
            read, the file is cut short or damaged.
        UsageError: it is a camera or a live stream, which `fcn-edge robot camera` reads.
    """
    with open_source(os.fspath(path)) as source:
        yield from _frames(source)


@dataclass(frozen=True)
class VideoResult(FileResult):
    """The result of one video: `milliseconds` is the time per frame, `areas` are those of all frames.

    Attributes:
        rate: frames per second of the video; 0 if it does not tell.
        error: why it ended too early; what was written until then is kept.
    """

    _: KW_ONLY
    frames: int = 0
    rate: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        facts = {"video": str(self.source)}
        if self.error is not None:
            facts["error"] = self.error
        if not self.frames:
            return facts
        return {
            **facts,
            "size": list(self.size or ()),
            "frames": self.frames,
            "rate": self.rate,
            "milliseconds": round(self.milliseconds, 3),
            "written": [str(path) for path in self.written],
            "classes": [asdict(area) for area in self.areas],
        }


def segment_videos(
    segmenter: Segmenter,
    videos: Sequence[ImageFile],
    out: Path,
    save: Sequence[str] = ("overlay", "json"),
    effect: Effect | None = None,
    progress: Progress | None = None,
    options: SaveOptions | None = None,
) -> Iterator[VideoResult]:
    """Segment every frame of each video and write the requested files, each of them whole or not at all.

    The new videos have the size and the rate of the old ones, and no sound. A video that cannot be read to
    its end is reported in its result, with what was made of the frames before; the others are still
    processed.

    Args:
        segmenter: the open model.
        videos: from `find_images`.
        out: the folder for the results; made if it is missing.
        save: names from `VIDEO_SAVES`.
        effect: applied to each frame where `save` has "effect".
        progress: receives how many frames of a video are done, as one stage for each.
        options: `alpha` and `overwrite` are used; None takes the defaults.

    Raises:
        UsageError: an unknown name in `save`, or a result that would overwrite any file that is not an
            unchanged result of an earlier run; before the first video is read.
        ArtifactError: results cannot be written there.
        ProviderError: the device failed.
        InputError: OpenCV or Pillow is not installed.
    """
    unknown = [name for name in save if name not in VIDEO_SAVES]
    if unknown or not save:
        raise UsageError(
            f"videos have no {', '.join(unknown) or 'results to save'}, expected some of "
            f"{', '.join(VIDEO_SAVES)}; `fcn-edge robot camera VIDEO --record labels.mcap` writes the "
            "labels of every frame"
        )
    if ("effect" in save) != (effect is not None):
        raise UsageError("an effect is saved exactly where one is given: name it with --effect")
    if effect is not None:
        effect.check(segmenter.card)
        import_pillow()
    import_opencv()
    job = _Job(segmenter, out, tuple(save), effect, options or SaveOptions())
    targets = [target for video in videos for target in job.targets(video).values()]
    refuse_foreign(targets, [v.source for v in videos], overwrite=job.options.overwrite, own=_is_own)
    require_writable(out)
    return (_segment_video(job, video, progress or SILENT) for video in videos)


@dataclass(frozen=True, eq=False)
class _Job:
    """What is the same for every video."""

    segmenter: Segmenter
    out: Path
    save: tuple[str, ...]
    effect: Effect | None
    options: SaveOptions

    def targets(self, video: ImageFile) -> dict[str, Path]:
        """The file of each name in `save`."""
        endings = {name: ".json" if name == "json" else f".{name}.mp4" for name in self.save}
        return {name: self.out / f"{video.stem}{ending}" for name, ending in endings.items()}

    def picture(self, name: str, frame: np.ndarray, result: Segmentation) -> np.ndarray:
        """What the video of that name shows of a frame."""
        if name == "effect" and self.effect is not None:
            return self.effect(frame, result.labels, result.card, result.confidence)
        return result.overlay(frame, self.options.alpha)


class _Tally:
    """Counts of the frames so far."""

    def __init__(self) -> None:
        self.frames, self.milliseconds = 0, 0.0
        self.counts: np.ndarray = np.zeros(0, np.int64)
        self.last: Segmentation | None = None

    def add(self, result: Segmentation) -> None:
        counts = np.bincount(result.labels.ravel(), minlength=result.card.unlabeled + 1)
        self.counts = counts if self.last is None else self.counts + counts
        self.frames, self.milliseconds = self.frames + 1, self.milliseconds + result.milliseconds
        self.last = result


def _segment_video(job: _Job, video: ImageFile, progress: Progress) -> VideoResult:
    targets, tally, error, rate = job.targets(video), _Tally(), None, 0.0
    pictures = {name: path for name, path in targets.items() if name != "json"}
    with contextlib.ExitStack() as stack:
        try:
            check_place(video, job.out, targets.values())
            source = stack.enter_context(open_source(os.fspath(video.source)))
            rate = source.rate
            progress.start("segment", source.frames or None, "frames")
            writers = {
                name: stack.enter_context(new_video(path, rate, overwrite=True, finish=mark_video))
                for name, path in pictures.items()
            }
            _write_frames(job, source, writers, tally, progress)
        except (InputError, ModelError) as failure:
            error = str(failure)
        except MemoryError:
            error = f"the memory is not enough for {video.source}: make its frames smaller"
    if tally.last is None:
        return VideoResult(video.source, error=error)
    progress.finish(f"{tally.frames} frames of {video.source.name}")
    areas = areas_from_counts(tally.counts, job.segmenter.card)
    height, width = tally.last.labels.shape
    result = VideoResult(
        video.source,
        written=tuple(targets.values()),
        size=(height, width),
        milliseconds=tally.milliseconds / tally.frames,
        areas=areas,
        error=error,
        frames=tally.frames,
        rate=rate,
    )
    if "json" in targets:
        write_whole(targets["json"], marked(_facts(video, result, job)))
    return result


def _write_frames(
    job: _Job,
    source: VideoSource,
    writers: dict[str, VideoWriter],
    tally: _Tally,
    progress: Progress,
) -> None:
    """The next frame is decoded, and pictures of the one before are made, while the network runs."""

    def run(frame: np.ndarray) -> tuple[np.ndarray, Segmentation]:
        pixels = convert(frame, job.segmenter.card.input, source.name, "videos cannot feed it")
        return frame, job.segmenter(pixels)

    def pictures(ran: tuple[np.ndarray, Segmentation]) -> tuple[Segmentation, dict[str, np.ndarray]]:
        frame, result = ran
        return result, {name: job.picture(name, frame, result) for name in writers}

    with contextlib.closing(overlapped(_frames(source), run, pictures, lambda frame: frame.size)) as done:
        for future in done:  # where a frame fails, none after it is written
            result, made = future.result()
            for name, picture in made.items():
                writers[name].write(picture)
            tally.add(result)
            progress.advance(tally.frames)


def _frames(source: VideoSource) -> Iterator[np.ndarray]:
    if source.live:
        raise UsageError(
            f"{source.name} is a live source, expected a video file: use `fcn-edge robot camera`"
        )
    count, seconds = 0, 0.0
    while (image := source.read(0)) is not None:
        count, seconds = count + 1, image.header.stamp.nanoseconds / 1e9
        planes = as_array(image)
        yield np.repeat(planes, 3, axis=2) if planes.shape[2] == 1 else planes[:, :, :3]
    source.check_whole(count, seconds + (1 / source.rate if source.rate else 0.0))


def _is_own(path: Path) -> bool:
    return is_unchanged_video(path) if path.suffix == ".mp4" else is_own(path)


def _facts(video: ImageFile, result: VideoResult, job: _Job) -> bytes:
    threshold = job.segmenter.threshold
    data = {
        "video": video.source.name,
        "size": list(result.size or ()),
        "frames": result.frames,
        "rate": result.rate,
        "model": {"name": job.segmenter.card.name, "sha256": job.segmenter.digest},
        "provider": job.segmenter.session.provider,
        **({} if threshold is None else {"threshold": threshold}),
        "classes": [asdict(area) for area in result.areas],
    }
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
