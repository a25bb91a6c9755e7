"""Bridge: subscribes to images of a ROS 2 graph and publishes masks, on a machine without ROS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fcn_edge_runtime.errors import ProviderError
from fcn_edge_runtime.robot.cdr import decode_compressed_image, decode_image
from fcn_edge_runtime.robot.dds.node import DdsNode
from fcn_edge_runtime.robot.dds.outputs import dds_publisher
from fcn_edge_runtime.robot.dds.watchdog import Watchdog
from fcn_edge_runtime.robot.diagnostics import Diagnostic, diagnose
from fcn_edge_runtime.robot.messages import COMPRESSED_IMAGE, IMAGE
from fcn_edge_runtime.robot.pipeline import Pipeline
from fcn_edge_runtime.robot.topics import Topics, full_name
from fcn_edge_runtime.robot.worker import WORKER, Limits, Worker, WorkerStatus

__all__ = ["Bridge", "BridgeOptions", "run_bridge"]

# What a frame may take after the end was asked for. A frame that takes longer is left to the process's end.
_LAST_SECONDS = 1.0


@dataclass(frozen=True)
class BridgeOptions:
    """What the bridge subscribes to, and where it publishes.

    Attributes:
        image_topic: full or relative name, such as "/camera/image_raw".
        compressed: whether the topic has CompressedImage.
        reliable: let the publisher resend lost images. Does not match best-effort publishers.
        prefix: the names of the outputs start with it.
        limits: which frames are dropped.
        frame_deadline: seconds that one frame may take; after that its decoder or the device hangs.
    """

    image_topic: str
    compressed: bool = False
    reliable: bool = False
    prefix: str = "/segmentation"
    limits: Limits = field(default_factory=Limits)
    frame_deadline: float = 30.0


class Bridge:
    """One subscription, one model, four topics. One thread receives, one segments; the caller's waits.

    So Ctrl-C and SIGTERM, which Python handles in the main thread, are answered whatever a frame takes.

    Raises:
        UsageError: the name of a topic is invalid.
    """

    def __init__(self, node: DdsNode, pipeline: Pipeline, options: BridgeOptions) -> None:
        self._pipeline, self._options = pipeline, options
        self.topic = full_name(options.image_topic)
        self.topics = Topics.below(options.prefix)
        self.qos = f"{'reliable' if options.reliable else 'best effort'}, depth 1"
        self._publisher = dds_publisher(node, self.topics, pipeline)
        kind = COMPRESSED_IMAGE if options.compressed else IMAGE
        self._reader = node.reader(self.topic, kind, reliable=options.reliable)
        decode = decode_compressed_image if options.compressed else decode_image
        self.worker: Worker[bytes] = Worker(
            pipeline, decode, self._publisher.wanted, self._publisher.publish, options.limits
        )
        self._watchdog = Watchdog()
        self._before: WorkerStatus | None = None
        self._failure: BaseException | None = None
        node.announce()

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set.

        Raises:
            ModelError: the device failed.
            ProviderError: the same, or a frame took longer than the deadline.
        """
        threads = [
            threading.Thread(target=self._guarded, args=(work, stop), name=f"{WORKER}-{name}", daemon=True)
            for name, work in (("segment", self.worker.run), ("receive", self._receive))
        ]
        for thread in threads:
            thread.start()
        self._watchdog.ready()
        try:
            while not stop.wait(0.1) and self._failure is None:
                self._check_deadline()
        finally:
            stop.set()
            self.worker.mailbox.close()
            for thread in threads:
                thread.join(timeout=_LAST_SECONDS)
            self._watchdog.stopping()
        if self._failure is not None:
            raise self._failure

    def _check_deadline(self) -> None:
        deadline = self._options.frame_deadline
        if self.worker.busy > deadline:
            raise ProviderError(
                f"one frame of {self.topic} takes longer than {deadline:g} s: its decoder or the device "
                f"{self._pipeline.segmenter.session.device} hangs; start again, or see --frame-deadline"
            )
        self._watchdog.beat()

    def _guarded(self, work: Callable[[threading.Event], None], stop: threading.Event) -> None:
        try:
            work(stop)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that called `run`
            self._failure = self._failure or error

    def diagnose(self) -> Diagnostic:
        """The status, compared with the previous call."""
        status = self.worker.status()
        report = diagnose(
            status,
            self._before,
            topic=self.topic,
            qos=self.qos,
            publishers=self._reader.publishers,
            provider=self._pipeline.segmenter.session.device,
        )
        self._before = status
        return report

    def _receive(self, stop: threading.Event) -> None:
        while not stop.is_set():
            data = self._reader.take(timeout=0.1)
            if data is not None:
                self.worker.put(data)
            self._publisher.keep_label_info(time.monotonic_ns())


def run_bridge(
    bridge: Bridge, stop: threading.Event, report: Callable[[Diagnostic], None], every: float
) -> None:
    """Run a bridge and report its status every `every` seconds, from a separate thread."""

    def reporter() -> None:
        while not stop.wait(every):
            report(bridge.diagnose())

    thread = threading.Thread(target=reporter, name="report", daemon=True)
    thread.start()
    try:
        bridge.run(stop)
    finally:
        stop.set()
        thread.join(timeout=2)
