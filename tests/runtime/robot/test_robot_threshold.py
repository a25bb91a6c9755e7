from __future__ import annotations

import numpy as np
from rosbags.highlevel import AnyReader

from fcn_edge_runtime import Segmenter
from tests.runtime.robot.make_corridor_bag import write_bag


def test_the_masks_of_a_bag_follow_the_threshold(robot, frames, model, tmp_path):
    write_bag(tmp_path / "in.mcap", frames[:2])
    args = ("--image-topic", "/camera/image_raw", "--threshold", 0.6, "--threads", 1, "-q")
    done = robot("bag", "in.mcap", "--model", model, "-o", "out.mcap", *args)
    assert done.returncode == 0, done.stderr
    with AnyReader([tmp_path / "out.mcap"]) as reader:
        messages = [
            reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages() if c.topic.endswith("/mask")
        ]
    with Segmenter(model, "cpu", 1, threshold=0.6) as segmenter:
        expected = [segmenter(frame).labels for frame in frames[:2]]
    assert 0 < np.mean([labels == 255 for labels in expected]) < 1
    for message, labels in zip(messages, expected, strict=True):
        np.testing.assert_array_equal(message.data.reshape(labels.shape), labels)
    # Cameras and videos go through the same function.
    done = robot("camera", "missing.avi", "--model", model, "--threshold", 1.5)
    assert done.returncode == 2
