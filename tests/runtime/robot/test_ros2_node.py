"""The ROS 2 node on a stand-in for rclpy: each failure that a run on a real ROS 2 showed stays repaired."""

from __future__ import annotations

import importlib.util
import signal
import sys

import numpy as np
import pytest

from fcn_edge_runtime.robot.cdr import decode_image, decode_label_info, encode_image
from fcn_edge_runtime.robot.model import open_model
from tests.runtime.robot import ros_standin
from tests.runtime.robot.messages import image_of
from tests.runtime.robot.test_ros2_package import PACKAGE

CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE, ACTIVE_SHUTDOWN = 1, 2, 3, 4, 7


@pytest.fixture
def ros(monkeypatch):
    monkeypatch.syspath_prepend(PACKAGE)
    yield ros_standin.install(monkeypatch)
    for name in [name for name in sys.modules if name.startswith("fcn_edge_ros")]:
        del sys.modules[name]


@pytest.fixture
def start(ros, model):
    """A function that makes the node with these parameters, configured and active if it can be."""

    def node(**parameters):
        from fcn_edge_ros.node import SegmenterNode

        ros.parameters = {"model_path": str(model), "device": "cpu", "threads": 1, **parameters}
        ros.ok = True
        made = SegmenterNode()
        if made.trigger_configure() is ros_standin.Return.SUCCESS:
            made.trigger_activate()
        return made

    yield node
    if ros.node is not None:
        ros.node.close()


def run(ros, **parameters):
    """The node's process; returns its exit code."""
    from fcn_edge_ros.segmenter import run

    ros.parameters = parameters
    return run()


def seen(ros, topic, count=1):
    """Wait for the worker's messages on a topic."""
    for _ in range(500):
        if len(ros.on(topic)) >= count:
            break
        ros.node._thread.join(0.01)
    return ros.on(topic)


def test_an_image_becomes_the_masks_that_a_segmenter_gives(ros, start, model, frames):
    start()
    message = image_of(frames[0])
    ros.deliver("/image", encode_image(message))
    mask = decode_image(seen(ros, "/segmentation/mask")[0])
    with open_model(str(model), "cpu", 1) as segmenter:
        expected = segmenter(frames[0]).labels
    np.testing.assert_array_equal(np.frombuffer(mask.data, np.uint8).reshape(expected.shape), expected)
    assert mask.header == message.header


def test_a_transition_that_the_state_forbids_is_refused(ros, start):
    node = start()
    for state, allowed in (("active", {4, 7}), ("inactive", {2, 3, 6}), ("unconfigured", {1, 5})):
        assert node.state == state
        for number in set(range(9)) - allowed:
            assert ros.change_state(number) is False
            assert node.state == state
        if state != "unconfigured":
            assert ros.change_state(DEACTIVATE if state == "active" else CLEANUP) is True
    refused = ros.texts("error")
    assert len(refused) == 20
    assert all("Transition is not registered" in text and "\n" not in text for text in refused)
    assert [ros.change_state(number) for number in (CONFIGURE, ACTIVATE)] == [True, True]
    ros.advance(0.1)
    assert decode_label_info(ros.on("/segmentation/label_info")[-1]).class_map


def test_a_signal_while_the_node_waits_for_images_is_no_error(ros, model):
    ros.spinning = ros.signal_while_waiting
    assert run(ros, model_path=str(model), device="cpu") == 0
    assert not ros.texts("fatal")


def test_an_error_of_rcl_with_a_good_context_is_not_hidden(ros, model):
    def broken():
        raise ros_standin.RCLError("failed to take a message")

    ros.spinning = broken
    with pytest.raises(ros_standin.RCLError, match="failed to take"):
        run(ros, model_path=str(model), device="cpu")
    assert not ros.ok


def test_a_second_ctrl_c_while_the_node_ends_is_ignored(ros, model):
    ended = []

    def destroying():
        signal.raise_signal(signal.SIGINT)
        ended.append(True)

    ros.destroying = destroying
    assert run(ros, model_path=str(model), device="cpu") == 0
    assert ended


@pytest.mark.parametrize("moment", ["before the node is made", "while the model is opened"])
def test_a_signal_while_the_node_starts_is_no_error(ros, model, monkeypatch, moment):
    import fcn_edge_ros.node

    if moment.startswith("before"):
        monkeypatch.setattr(fcn_edge_ros.node.SegmenterNode, "__init__", lambda _: ros.signal_while_waiting())
    else:
        monkeypatch.setattr(fcn_edge_ros.node, "Outputs", lambda *_: ros.signal_while_waiting())
    assert run(ros, model_path=str(model), device="cpu") == 0
    assert not ros.ok


def test_a_model_that_is_missing_ends_the_node_with_code_1(ros, tmp_path):
    assert run(ros, model_path=str(tmp_path / "none.onnx")) == 1
    assert "none.onnx" in ros.texts("error")[0]


def test_a_device_that_fails_ends_the_node_with_code_4(ros, model):
    def turn():
        ros.node._failure = RuntimeError("the GPU is gone")
        ros.advance(1.0)

    ros.spinning = turn
    assert run(ros, model_path=str(model), device="cpu") == 4
    status = ros.on("/diagnostics")[-1].status[0]
    assert (status.level, status.message) == (b"\x02", "the GPU is gone")


def test_a_silent_clock_does_not_stop_label_info_and_diagnostics(ros, start):
    start(use_sim_time=True)
    ros.advance(5.2)
    assert len(ros.on("/segmentation/label_info")) == 2  # latched at once, and repeated after 5 s
    assert len(ros.on("/diagnostics")) == 5


def test_log_and_diagnostics_name_the_qos_after_overrides(ros, start):
    start(**{"qos_overrides./front.subscription.reliability": "reliable", "image_topic": "/front"})
    assert "listening to /front (reliable, depth 1)" in ros.texts("info")
    ros.advance(1.0)
    values = {each.key: each.value for each in ros.on("/diagnostics")[-1].status[0].values}
    assert values["input QoS"] == "reliable, depth 1"


def test_a_wrong_parameter_is_refused_and_a_right_one_announced(ros, start):
    start()
    assert ros.set_parameters(shrink=0) == (False, "shrink is 0, expected a whole number from 1 to 16")
    assert ros.set_parameters(threads="two")[1].startswith("threads is 'two', expected a whole number")
    assert ros.set_parameters(shrink=2) == (True, "")
    assert ros.texts("info")[-1] == "changed parameters are used when the node is configured again"
    assert [ros.change_state(n) for n in (DEACTIVATE, CLEANUP, CONFIGURE, ACTIVATE)] == [True] * 4
    assert ros.node._given.shrink == 2


@pytest.mark.parametrize("topic", ["1st", "a b", "image/", "//image", "a//b", "~image", "/", "~/"])
def test_a_wrong_topic_is_refused_before_the_node_is_active(ros, start, topic):
    assert start(image_topic=topic).state == "unconfigured"
    assert ros.texts("error")[-1].startswith("not configured: image_topic: ")
    assert not ros.texts("fatal")


@pytest.mark.parametrize("topic", ["image", "/a/b_c", "~/image"])
def test_a_topic_that_ros_takes_is_subscribed_to(start, topic):
    assert start(image_topic=topic).state == "active"


def launched():
    path = PACKAGE / "launch" / "segmenter.launch.py"
    spec = importlib.util.spec_from_file_location("segmenter_launch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description().given[0]


@pytest.mark.parametrize(("code", "again"), [(0, False), (1, False), (-11, False), (4, True)])
def test_launch_starts_the_node_again_after_code_4_alone(ros, code, again):
    del ros
    node, handler = launched()[-2:]
    for _ in range(2):  # the node that was started again is watched, too
        exited = handler.given[0]
        assert exited.target_action is node
        actions = exited.on_exit(ros_standin.Message(returncode=code), None)
        assert bool(actions) is again
        if not again:
            break
        assert actions[0].period > 0
        node, handler = actions[0].actions
        assert node.executable == "segmenter"
