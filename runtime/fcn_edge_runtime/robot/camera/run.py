"""Runs frames of a camera through a pipeline into sinks, until the source ends or `stop` is set."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fcn_edge_runtime.errors import FcnEdgeError
from fcn_edge_runtime.progress import SILENT, Progress
from fcn_edge_runtime.robot.camera.sinks import FrameSink, WindowSink
from fcn_edge_runtime.robot.camera.source import Grabber, VideoSource
from fcn_edge_runtime.robot.messages import Image
from fcn_edge_runtime.robot.pipeline import Pipeline, SegmentedFrame
from fcn_edge_runtime.robot.worker import Limits, Worker, WorkerStatus

__all__ = ["CameraRun", "run_camera"]


@dataclass(frozen=True)
class CameraRun:
    """What became of a run. A recording is worth keeping, whatever ended it.

    Attributes:
        status: counters and latencies.
        failure: why it ended too early: a source that stopped delivering or was cut short, a device that
            failed, a sink that cannot be written. None if all is well.
    """

    status: WorkerStatus
    failure: FcnEdgeError | None


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
) -> CameraRun:
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

    total = max_frames or (0 if source.live or not every_frame else source.frames)
    shown.start("segment", total or None, "frames")
    failure = None
    try:
        (_run_file if every_frame else _run_live)(source, worker, stop, done)
    except FcnEdgeError as error:
        failure = error
    shown.finish(f"{published} frames")
    return CameraRun(worker.status(), failure)


def _run_file(
    source: VideoSource, worker: Worker[Image], stop: threading.Event, done: Callable[[], bool]
) -> None:
    waiting: queue.Queue[Image] = queue.Queue(2)

    def deliver(image: Image) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(image, timeout=0.1)
                return

    def take() -> Image | None:
        try:
            worker.put(waiting.get(timeout=0.1))
        except queue.Empty:
            return None
        return worker.mailbox.take(0)

    _run(Grabber(source, deliver, stop, own_pace=False), take, worker, stop, done)


def _run_live(
    source: VideoSource, worker: Worker[Image], stop: threading.Event, done: Callable[[], bool]
) -> None:
    grabber = Grabber(source, worker.put, stop, own_pace=not source.live)
    _run(grabber, lambda: worker.mailbox.take(timeout=0.1), worker, stop, done)


def _run(
    grabber: Grabber,
    take: Callable[[], Image | None],
    worker: Worker[Image],
    stop: threading.Event,
    done: Callable[[], bool],
) -> None:
    try:
        while not done():
            ended = grabber.ended
            image = take()
            if image is not None:
                worker.step(image)
            elif ended:
                grabber.check_end()
                break
            else:
                grabber.check_alive()
    finally:
        stop.set()
        grabber.join()
