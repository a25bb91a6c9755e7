"""A bag in, a bag with masks out: `fcn-edge robot bag`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Container, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fcn_edge_runtime._overlap import attempted, overlapped
from fcn_edge_runtime._text import printable
from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.progress import SILENT, Progress
from fcn_edge_runtime.robot.bag.channels import Channel
from fcn_edge_runtime.robot.bag.outputs import bag_publisher
from fcn_edge_runtime.robot.bag.reader import LATEST, Bag, Record, Topic, decode_frame
from fcn_edge_runtime.robot.bag.writer import bag_writer, storage_for, why_not_copied
from fcn_edge_runtime.robot.pipeline import Pipeline, ReadFrame, SegmentedFrame
from fcn_edge_runtime.robot.publisher import FramePublisher
from fcn_edge_runtime.robot.stats import quantiles
from fcn_edge_runtime.robot.topics import Topics
from fcn_edge_runtime.segmentation import Segmentation

__all__ = ["BagOptions", "BagSummary", "segment_bag"]

_LONGEST = 1e10  # seconds: 300 years
OTHER_REASONS = "other reasons"
_LONGEST_REASON = 300  # characters
_MOST_REASONS = 50  # that are told apart
_MOST_HELD = 16 << 20  # bytes of messages that are copied together


@dataclass(frozen=True)
class BagOptions:
    """Which frames of a bag are segmented, and what is written.

    Attributes:
        every: segment every n-th frame of the topic.
        start: seconds after the first message of the bag.
        duration: seconds from there; None goes to the end.
        keep_input: also copy the messages of the same time span, of every topic that can be copied.
        overlay: write overlays.
        storage: "mcap" or "sqlite3"; None follows the name of the output.
        prefix: the topics are named below it.
    """

    every: int = 1
    start: float = 0.0
    duration: float | None = None
    keep_input: bool = False
    overlay: bool = True
    storage: str | None = None
    prefix: str = "/segmentation"

    def __post_init__(self) -> None:
        span = 0.0 if self.duration is None else self.duration
        if not (0 <= self.start <= _LONGEST and 0 <= span <= _LONGEST) or self.every < 1:
            raise UsageError(
                f"start is {self.start}, duration {self.duration}, every {self.every}: expected seconds from "
                f"0 to {_LONGEST:g}, and at least 1"
            )


@dataclass(frozen=True)
class BagSummary:
    """The result of segmenting a bag.

    Attributes:
        frames: frames segmented and written.
        failed: frames that could not be segmented.
        errors: the reasons, each with its count, in order of first occurrence; beyond 50, "other reasons".
        copied: messages of the input that were copied.
        not_copied: topics that could not be copied, with their type and the reason.
        p50_ms, p95_ms: quantiles of the time from message to messages, in milliseconds.
        shares: by class name, the share of all pixels, 0 to 1; "unlabeled" last.
        seconds: the total time, with reading and writing.
    """

    frames: int
    failed: int
    errors: dict[str, int]
    copied: int
    not_copied: dict[str, str]
    p50_ms: float
    p95_ms: float
    shares: dict[str, float]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain JSON values."""
        return asdict(self)


def segment_bag(
    bag: Bag,
    topic_name: str,
    pipeline: Pipeline,
    out: Path,
    options: BagOptions,
    progress: Progress | None = None,
) -> BagSummary:
    """Segment the images of one topic and write a rosbag2, which gets its name once it is complete.

    Messages are recorded at the time of their frame, with its header. LabelInfo comes first, and again every
    5 s of the recording. A frame that cannot be segmented is counted, and the rest is segmented.

    Args:
        bag: the open bag.
        topic_name: its image topic.
        pipeline: the model.
        out: see `bag_writer`.
        options: which frames are segmented, and what is written.
        progress: receives how many of the topic's messages are done, as one stage.

    Raises:
        InputError: no such topic, no frames, or a damaged bag; nothing is left under the name of `out`.
        UsageError, ArtifactError: an option is out of range, the output exists already, or cannot be
            written.
    """
    topic = bag.image_topic(topic_name)
    topics = Topics.below(options.prefix)
    storage = storage_for(out, options.storage)
    kept, not_copied = _kept(bag, options, topics, storage)
    begin = time.perf_counter()
    progress = progress or SILENT
    progress.start("segment", topic.messages, "messages")
    with bag_writer(out, storage) as writer:
        run = _Run(pipeline, bag_publisher(writer, topics, pipeline, overlay=options.overlay))
        inputs = {channel.id: writer.add_channel(channel) for channel in kept}
        frames = {channel.id for channel in topic.channels}
        records = bag.records(tuple(dict.fromkeys((*topic.channels, *kept))), *_span(bag, options))
        parts = _parts(records, frames, inputs.keys(), options.every, pipeline)
        number = copied = 0
        with contextlib.closing(overlapped(parts, run.segment, run.messages, _numbers)) as done:
            for future in done:
                part, messages = future.result()
                for record in part.copies:
                    writer.write(inputs[record.channel.id], record.time, record.data)
                if messages is not None:
                    run.add(part.time, messages)
                number, copied = part.number, copied + len(part.copies)
                progress.advance(number)
        if not run.times:
            _refuse_empty(run, topic, number)
    progress.finish(f"{len(run.times)} frames of {topic.name}")
    return run.summary(copied, not_copied, time.perf_counter() - begin)


@dataclass(frozen=True, eq=False)
class _Part:
    """Messages of a bag that are copied, and the frame that follows them.

    Attributes:
        copies: the messages.
        frame: what was read of the frame, or why it could not be; None where none follows.
        time: when the frame was recorded.
        number: messages of the frames' topic until here.
    """

    copies: tuple[Record, ...]
    frame: Future[ReadFrame] | None
    time: int
    number: int


def _parts(
    records: Iterable[Record], frames: Container[int], copied: Container[int], every: int, pipeline: Pipeline
) -> Iterator[_Part]:
    """The records of a bag by their frames, of which every n-th is read.

    Args:
        records: in the order of time.
        frames: channels of the frames.
        copied: channels that are copied.
        every: n.
        pipeline: reads the frames.
    """
    copies: list[Record] = []
    held = number = moment = 0
    for record in records:
        moment = record.time
        if record.channel.id in copied:
            copies.append(record)
            held += len(record.data)
        read = None
        if record.channel.id in frames:
            if number % every == 0:
                read = attempted(lambda record=record: pipeline.read(decode_frame(record)))  # type: ignore[misc]
            number += 1
        if read is not None or held > _MOST_HELD:
            yield _Part(tuple(copies), read, moment, number)
            copies, held = [], 0
    yield _Part(tuple(copies), None, moment, number)


def _numbers(part: _Part) -> int:
    read = part.frame
    pixels = 0 if read is None or read.exception() is not None else read.result().frame.size
    return pixels + sum(len(record.data) for record in part.copies)


_Segmented = tuple[ReadFrame, Segmentation, float]


class _Run:
    """Results that accumulate while a bag is written."""

    def __init__(self, pipeline: Pipeline, publisher: FramePublisher) -> None:
        self.pipeline, self.publisher = pipeline, publisher
        self.times: list[float] = []
        self.errors: dict[str, int] = {}
        self.counts = [0] * (len(pipeline.segmenter.card.classes) + 1)

    def segment(self, part: _Part) -> tuple[_Part, Future[_Segmented] | None]:
        """Run the network on a part's frame."""
        read = part.frame
        return part, None if read is None else attempted(lambda: self.pipeline.segment(read.result()))

    def messages(
        self, ran: tuple[_Part, Future[_Segmented] | None]
    ) -> tuple[_Part, Future[SegmentedFrame] | None]:
        """The messages of a part's frame."""
        part, segmented = ran
        if segmented is None:
            return part, None
        confidence, overlay = self.publisher.wanted()
        made = attempted(
            lambda: self.pipeline.messages(segmented.result(), confidence=confidence, overlay=overlay)
        )
        return part, made

    def add(self, time: int, messages: Future[SegmentedFrame]) -> None:
        """Write the messages of a frame that was recorded at a time, or count why there are none."""
        try:
            frame = messages.result()
        except InputError as error:
            reason = printable(str(error), _LONGEST_REASON)
            if reason not in self.errors and len(self.errors) >= _MOST_REASONS:
                reason = OTHER_REASONS
            self.errors[reason] = self.errors.get(reason, 0) + 1
            return
        self.publisher.record(frame, time)
        self.times.append(frame.timings.total)
        self.counts = [old + new for old, new in zip(self.counts, frame.counts, strict=True)]

    def summary(self, copied: int, not_copied: dict[str, str], seconds: float) -> BagSummary:
        names = [*(c.name for c in self.pipeline.segmenter.card.classes), "unlabeled"]
        total = sum(self.counts)
        p50, p95 = quantiles(self.times, 0.5, 0.95)
        return BagSummary(
            frames=len(self.times),
            failed=sum(self.errors.values()),
            errors=self.errors,
            copied=copied,
            not_copied=not_copied,
            p50_ms=p50,
            p95_ms=p95,
            shares={name: count / total for name, count in zip(names, self.counts, strict=True)},
            seconds=seconds,
        )


def _span(bag: Bag, options: BagOptions) -> tuple[int | None, int | None]:
    if not options.start and options.duration is None:
        return None, None
    start = min(bag.start + round(options.start * 1e9), LATEST)
    return start, None if options.duration is None else min(start + round(options.duration * 1e9), LATEST)


def _kept(
    bag: Bag, options: BagOptions, topics: Topics, storage: str
) -> tuple[tuple[Channel, ...], dict[str, str]]:
    if not options.keep_input:
        return (), {}
    ours = {topics.mask, topics.confidence, topics.overlay, topics.label_info}
    taken = sorted(ours & {topic.name for topic in bag.topics})
    if taken:
        raise UsageError(
            f"the bag already has a topic {taken[0]}: choose another --prefix, or leave out --keep-input"
        )
    reasons = {channel: why_not_copied(channel, storage) for channel in bag.channels}
    kept = tuple(channel for channel, reason in reasons.items() if not reason)
    return kept, {c.topic: f"{c.type or c.encoding}: {reason}" for c, reason in reasons.items() if reason}


def _refuse_empty(run: _Run, topic: Topic, number: int) -> None:
    if run.errors:
        first = next(iter(run.errors))
        raise InputError(
            f"none of {sum(run.errors.values())} frames of {topic.name} can be segmented: {first}"
        )
    raise InputError(
        f"there are {number} frames of {topic.name} in this span, expected at least one: "
        "choose another --start or --duration"
    )
