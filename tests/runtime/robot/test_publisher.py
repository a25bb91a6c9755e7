from __future__ import annotations

import dataclasses

import pytest

from fcn_edge_runtime.robot.cdr import decode_image, decode_label_info
from fcn_edge_runtime.robot.messages import Header, Stamp
from fcn_edge_runtime.robot.publisher import FramePublisher, FrameSinks
from tests.runtime.robot.messages import image_of

SECOND = 10**9


@dataclasses.dataclass
class Topic:
    """A sink that appends its messages to one log for all topics."""

    name: str
    log: list
    wanted: bool = True
    sends: bool = True

    def write(self, data, moment):
        self.log.append((self.name, moment, data))
        return self.sends


@pytest.fixture
def log():
    return []


def publisher_of(pipeline, log, **topics):
    sinks = {name: Topic(name, log) for name in ("mask", "label_info")}
    return FramePublisher(pipeline, FrameSinks(**{**sinks, **topics}))


def stamped(pipeline, frame, seconds, **wanted):
    return pipeline(image_of(frame, header=Header(Stamp(seconds), "camera")), **wanted)


def test_label_info_comes_first_and_again_every_five_seconds(pipeline, frames, log):
    publisher = publisher_of(pipeline, log)
    for second in (10, 12, 14, 15, 16, 30):
        assert publisher.record(stamped(pipeline, frames[0], second), second * SECOND) == 0
    assert [(name, moment // SECOND) for name, moment, _ in log] == [
        ("label_info", 10),
        ("mask", 10),
        ("mask", 12),
        ("mask", 14),
        ("label_info", 15),
        ("mask", 15),
        ("mask", 16),
        ("label_info", 30),
        ("mask", 30),
    ]
    infos = [decode_label_info(data) for name, _, data in log if name == "label_info"]
    assert [info.header.stamp.sec for info in infos] == [10, 15, 30]
    assert [entry.class_name for entry in infos[0].class_map] == ["class 0", "class 1", "class 2"]


def test_live_label_info_needs_no_frames(pipeline, frames, log):
    publisher = publisher_of(pipeline, log)
    publisher.keep_label_info(0)
    publisher.keep_label_info(4 * SECOND)
    publisher.publish(stamped(pipeline, frames[0], 7))
    publisher.keep_label_info(5 * SECOND)
    assert [name for name, _, _ in log] == ["label_info", "mask", "label_info"]
    assert decode_label_info(log[2][2]).header == decode_image(log[1][2]).header == Header(Stamp(7), "camera")


def test_outputs_without_a_topic_are_not_sent(pipeline, frames, log):
    frame = stamped(pipeline, frames[0], 1, confidence=True, overlay=True)
    publisher_of(pipeline, log).publish(frame)
    publisher_of(pipeline, log, overlay=Topic("overlay", log)).publish(frame)
    assert [name for name, _, _ in log] == ["mask", "mask", "overlay"]
    assert decode_image(log[2][2]).encoding == "rgb8"


def test_outputs_are_wanted_while_they_have_a_reader(pipeline, log):
    overlay = Topic("overlay", log, wanted=False)
    publisher = publisher_of(pipeline, log, overlay=overlay)
    assert publisher.wanted() == (False, False)
    overlay.wanted = True
    assert publisher.wanted() == (False, True)


def test_messages_that_could_not_be_sent_are_counted(pipeline, frames, log):
    late = {name: Topic(name, log, sends=False) for name in ("mask", "confidence")}
    publisher = publisher_of(pipeline, log, **late, overlay=Topic("overlay", log))
    assert publisher.publish(stamped(pipeline, frames[0], 1, confidence=True, overlay=True)) == 2
