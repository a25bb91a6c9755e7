"""Runs frames of a camera through a pipeline into sinks, until the source ends or `stop` is set."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.progress import SILENT, Progress
from fcn_edge_runtime.robot.camera.sinks import FrameSink, WindowSink
from fcn_edge_runtime.robot.camera.source import VideoSource, grab, read_all
from fcn_edge_runtime.robot.messages import Image
from fcn_edge_runtime.robot.pipeline import Pipeline, SegmentedFrame
from fcn_edge_runtime.robot.worker import Limits, Worker, WorkerStatus

__all__ = ["run_camera"]


def run_camera(
    source: VideoSource,
    pipeline: Pipeline,
    sinks: Sequence[FrameSink],
    stop: threading.Event,
    *,
    every_frame: bool,
    max_frames: int = 0,
    max_rate: float = 0.0,
    progress: Progress | None = None,
) -> WorkerStatus:
    """Segment frames until the source ends, `stop` is set, or `max_frames` are done.

    Args:
        source: the open source.
        pipeline: the model.
        sinks: where frames go.
        stop: ends the run after the current frame; everything written is complete.
        every_frame: segment every frame of a file, as fast as possible; else take the newest frame.
        max_frames: end after this many segmented frames; 0 is no limit.
        max_rate: the highest rate, in frames per second; 0 is no limit.
        progress: receives how many frames are segmented, as one stage.

    Raises:
        InputError: a live source stopped delivering, or a file holds no frame.
        ModelError, ProviderError, ArtifactError: the device failed, or a sink cannot be written.
    """
    current: list[Image] = []
    shown, published = progress or SILENT, 0

    def decode(image: Image) -> Image:
        current[:] = [image]
        return image

    def wanted() -> tuple[bool, bool]:
        wants = [sink.wanted() for sink in sinks]
        return any(want[0] for want in wants), any(want[1] for want in wants)

    def publish(frame: SegmentedFrame) -> int:
        unsent = sum(sink.put(current[0], frame) for sink in sinks)
        if any(isinstance(sink, WindowSink) and sink.closed for sink in sinks):
            stop.set()
        nonlocal published
        published += 1
        shown.advance(published)
        return unsent

    worker: Worker[Image] = Worker(pipeline, decode, wanted, publish, Limits(max_rate=max_rate))

    def done() -> bool:
        return stop.is_set() or (0 < max_frames <= worker.status().segmented)

    shown.start("segment", max_frames or None, "frames")
    if every_frame:
        _run_file(source, worker, done)
        if worker.status().received == 0 and not stop.is_set():
            raise InputError(f"{source.name} holds no frame that can be read, expected a video or an image")
    else:
        _run_live(source, worker, stop, done)
    shown.finish(f"{published} frames")
    return worker.status()


def _run_file(source: VideoSource, worker: Worker[Image], done: Callable[[], bool]) -> None:
    for image in read_all(source, time.time_ns()):
        worker.put(image)
        taken = worker.mailbox.take(0)
        if taken is not None:
            worker.step(taken)
        if done():
            break


def _run_live(
    source: VideoSource, worker: Worker[Image], stop: threading.Event, done: Callable[[], bool]
) -> None:
    failures: list[BaseException] = []

    def grabber() -> None:
        try:
            grab(source, worker.put, stop)
        except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
            failures.append(error)
        finally:
            worker.mailbox.close()

    thread = threading.Thread(target=grabber, name="grab", daemon=True)
    thread.start()
    try:
        while not done():
            image = worker.mailbox.take(timeout=0.1)
            if image is not None:
                worker.step(image)
            elif worker.mailbox.closed:
                break
    finally:
        stop.set()
        thread.join(timeout=2)
    if failures:
        raise failures[0]
