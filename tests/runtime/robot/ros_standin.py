"""A stand-in for rclpy, launch and the message packages, with what the ROS 2 node uses of them.

It behaves as rclpy 7.1.3 (Jazzy) does where a real run showed that it matters: a transition that the state
does not allow raises RCLError out of the service's callback; a signal may end `spin` with the RCLError of a
context that is gone; timers go by their clock, and the node's clock stands still with use_sim_time and no
/clock; a subscription's QoS is the one after qos_overrides. It has no middleware and no time of its own:
tests deliver messages by `Ros.deliver` and let time pass by `Ros.advance`.
"""

from __future__ import annotations

import sys
from enum import Enum
from types import ModuleType, SimpleNamespace

__all__ = ["Ros", "install"]

TRANSITIONS = {  # by id and state: what runs, and the state after success
    (1, "unconfigured"): ("on_configure", "inactive"),
    (2, "inactive"): ("on_cleanup", "unconfigured"),
    (3, "inactive"): ("on_activate", "active"),
    (4, "active"): ("on_deactivate", "inactive"),
    (5, "unconfigured"): ("on_shutdown", "finalized"),
    (6, "inactive"): ("on_shutdown", "finalized"),
    (7, "active"): ("on_shutdown", "finalized"),
}


class RCLError(RuntimeError):
    """Of rclpy's C++ side."""


class ExternalShutdownException(Exception):  # noqa: N818 - rclpy's name
    """What `spin` raises after a shutdown from elsewhere."""


class Return(Enum):
    SUCCESS, FAILURE, ERROR = range(3)


class ClockType(Enum):
    ROS_TIME, SYSTEM_TIME, STEADY_TIME = range(1, 4)


class Reliability(Enum):
    RELIABLE, BEST_EFFORT = 1, 2


class Durability(Enum):
    TRANSIENT_LOCAL, VOLATILE = 1, 2


class Ros:
    """What the outside of the node sees and does.

    Attributes:
        parameters: given on the command line, by name.
        published: (topic, message) in order.
        logged: (severity, text) in order.
        publishers, subscribers: how many other nodes have, on every topic.
        spinning: called at each turn of `spin`.
        destroying: called when a node is destroyed.
        ok: whether the context is valid.
    """

    def __init__(self):
        self.parameters, self.published, self.logged = {}, [], []
        self.publishers, self.subscribers = 1, 1
        self.ok = False
        self.node = None
        self.spinning = self.shutdown
        self.destroying = lambda: None

    def shutdown(self):
        self.ok = False

    def signal_while_waiting(self):
        """A signal ends the context while the executor makes its wait set."""
        self.ok = False
        raise RCLError("failed to initialize wait set: the given context is not valid, at ./src/rcl/wait.c")

    def change_state(self, number):
        """Ask the node's service for a transition by id."""
        request = SimpleNamespace(transition=SimpleNamespace(id=number, label=""))
        return self.node._service_change_state.callback(request, SimpleNamespace(success=None)).success

    def set_parameters(self, **values):
        """What `ros2 param set` does: the result's (successful, reason)."""
        result = self.node.check([Parameter(name, value) for name, value in values.items()])
        if result.successful:
            self.node.values.update(values)
        return result.successful, result.reason

    def deliver(self, topic, data):
        for subscription in list(self.node.subscriptions_):
            if subscription.topic_name == topic:
                subscription.callback(data)

    def advance(self, seconds):
        """Let time pass in steps of 10 ms; timers whose clock moves are called."""
        for _ in range(round(seconds * 100)):
            for timer in list(self.node.timers_):
                timer.pass_time(0.01)

    def on(self, topic):
        return [message for name, message in self.published if name == topic]

    def texts(self, severity):
        return [text for name, text in self.logged if name == severity]


class Parameter:
    def __init__(self, name, value):
        self.name, self.value = name, value


class Clock:
    def __init__(self, *, clock_type=ClockType.SYSTEM_TIME, stands=False):
        self.clock_type, self.stands = clock_type, stands

    def now(self):
        return SimpleNamespace(nanoseconds=0, to_msg=lambda: SimpleNamespace(sec=0, nanosec=0))


class Timer:
    def __init__(self, period, callback, clock):
        self.period, self.callback, self.clock = period, callback, clock
        self.passed, self.canceled = 0.0, False

    def pass_time(self, seconds):
        if self.clock.stands or self.canceled:
            return
        self.passed += seconds
        if self.passed >= self.period - 1e-9:
            self.passed = 0.0
            self.callback()

    def cancel(self):
        self.canceled = True


class Logger:
    def __init__(self, ros):
        self.ros = ros

    def __getattr__(self, severity):
        return lambda text, **_: self.ros.logged.append((severity, text))


class Publisher:
    """One of a lifecycle node publishes nothing unless it is active."""

    def __init__(self, node, topic, *, managed):
        self.node, self.topic, self.managed = node, topic, managed

    def publish(self, message):
        if not self.managed or self.node.state == "active":
            self.node.ros.published.append((self.topic, message))

    def get_subscription_count(self):
        return self.node.ros.subscribers


class LifecycleNode:
    """rclpy.lifecycle.LifecycleNode, of the `Ros` that a class made by `install` has."""

    ros: Ros

    def __init__(self, name):
        if not self.ros.ok:
            raise RCLError("failed to create node: rcl node's context is invalid, at ./src/rcl/node.c")
        self.ros.node, self.name, self.state = self, name, "unconfigured"
        self.values, self.check = {"use_sim_time": self.ros.parameters.get("use_sim_time", False)}, None
        self.timers_, self.subscriptions_ = [], []
        self._service_change_state = SimpleNamespace(callback=self._on_change_state)

    def _on_change_state(self, request, response):
        response.success = self._change_state(request.transition.id) is Return.SUCCESS
        return response

    def _change_state(self, number):
        if (number, self.state) not in TRANSITIONS:
            raise RCLError(
                "Failed to trigger lifecycle state machine transition: Transition is not registered., "
                "at ./src/rcl_lifecycle.c:355\n(second line)"
            )
        called, after = TRANSITIONS[number, self.state]
        try:
            result = getattr(self, called)(SimpleNamespace(label=self.state))
        except Exception:  # noqa: BLE001 - as rclpy does
            result = Return.ERROR
        if result is Return.SUCCESS:
            self.state = after
        elif result is Return.ERROR:
            cleaned = self.on_error(SimpleNamespace(label=self.state))
            self.state = "unconfigured" if cleaned is Return.SUCCESS else "finalized"
        return result

    def trigger_configure(self):
        return self._change_state(1)

    def trigger_activate(self):
        return self._change_state(3)

    def on_configure(self, _):
        return Return.SUCCESS

    on_cleanup = on_activate = on_deactivate = on_shutdown = on_error = on_configure

    def declare_parameter(self, name, default, descriptor):
        assert descriptor.description
        self.values[name] = self.ros.parameters.get(name, default)

    def add_on_set_parameters_callback(self, callback):
        self.check = callback

    def get_parameter(self, name):
        return Parameter(name, self.values[name])

    def get_logger(self):
        return Logger(self.ros)

    def get_clock(self):
        return Clock(clock_type=ClockType.ROS_TIME, stands=self.values["use_sim_time"])

    def get_fully_qualified_name(self):
        return f"/{self.name}"

    def resolve_topic_name(self, topic):
        return topic if topic.startswith("/") else f"/{topic}"

    def count_publishers(self, topic):
        assert topic.startswith("/")
        return self.ros.publishers

    def create_subscription(self, kind, topic, callback, qos, *, qos_overriding_options=None, raw=False):
        if topic.endswith("/") or "//" in topic or (topic.startswith("~") and topic[1:2] != "/"):
            raise ValueError(f"Invalid topic name: {topic}")  # InvalidTopicNameException
        del raw
        name = self.resolve_topic_name(topic)
        if qos_overriding_options is not None:
            given = f"qos_overrides.{name}.subscription.reliability"
            if given in self.ros.parameters:
                qos = SimpleNamespace(**vars(qos))
                qos.reliability = Reliability[self.ros.parameters[given].upper()]
        subscription = SimpleNamespace(kind=kind, topic_name=name, callback=callback, qos_profile=qos)
        self.subscriptions_.append(subscription)
        return subscription

    def destroy_subscription(self, subscription):
        self.subscriptions_.remove(subscription)

    def create_timer(self, seconds, callback, clock=None):
        timer = Timer(seconds, callback, clock or self.get_clock())
        self.timers_.append(timer)
        return timer

    def destroy_timer(self, timer):
        self.timers_.remove(timer)

    def create_publisher(self, _, topic, __):
        return Publisher(self, self.resolve_topic_name(topic), managed=False)

    def create_lifecycle_publisher(self, _, topic, __, **___):
        return Publisher(self, self.resolve_topic_name(topic), managed=True)

    def destroy_publisher(self, publisher):
        del publisher

    destroy_lifecycle_publisher = destroy_publisher

    def destroy_node(self):
        self.ros.destroying()


class Message:
    """Any message: the fields that are given, and a header."""

    def __init__(self, **fields):
        self.header = SimpleNamespace(stamp=None, frame_id="")
        vars(self).update(fields)


class Described:
    """Any action, argument or event handler of launch: what it was made of."""

    def __init__(self, *given, **fields):
        self.given = given
        vars(self).update(fields)


def named(*names, base):
    return {name: type(name, (base,), {}) for name in names}


def install(monkeypatch):
    """Make the stand-in importable until the test ends."""
    ros = Ros()

    def init():
        ros.ok = True

    def spin(_):
        while ros.ok:
            ros.spinning()
        raise ExternalShutdownException

    policies = SimpleNamespace(with_default_policies=SimpleNamespace)
    modules = {
        "rclpy": {"init": init, "ok": lambda: ros.ok, "spin": spin, "try_shutdown": ros.shutdown},
        "rclpy._rclpy_pybind11": {"RCLError": RCLError},
        "rclpy.clock": {"Clock": Clock, "ClockType": ClockType},
        "rclpy.executors": {"ExternalShutdownException": ExternalShutdownException},
        "rclpy.lifecycle": {
            "LifecycleNode": type("LifecycleNode", (LifecycleNode,), {"ros": ros}),
            "LifecyclePublisher": Publisher,
            "LifecycleState": SimpleNamespace,
            "TransitionCallbackReturn": Return,
        },
        "rclpy.parameter": {"Parameter": Parameter},
        "rclpy.qos": {
            "QoSDurabilityPolicy": Durability,
            "QoSHistoryPolicy": SimpleNamespace(KEEP_LAST=1),
            "QoSProfile": SimpleNamespace,
            "QoSReliabilityPolicy": Reliability,
        },
        "rclpy.qos_overriding_options": {"QoSOverridingOptions": policies},
        "diagnostic_msgs.msg": named("DiagnosticArray", "DiagnosticStatus", "KeyValue", base=Message),
        "rcl_interfaces.msg": named("ParameterDescriptor", "SetParametersResult", base=Message),
        "sensor_msgs.msg": named("CameraInfo", "CompressedImage", "Image", base=Message),
        "vision_msgs.msg": named("LabelInfo", base=Message),
        "ament_index_python.packages": {"get_package_share_directory": lambda name: f"/share/{name}"},
        "launch": named("LaunchDescription", base=Described),
        "launch.action": named("Action", base=Described),
        "launch.actions": named(
            "DeclareLaunchArgument", "RegisterEventHandler", "TimerAction", base=Described
        ),
        "launch.event_handlers": named("OnProcessExit", base=Described),
        "launch.substitutions": named("LaunchConfiguration", base=Described),
        "launch_ros.actions": named("LifecycleNode", base=Described),
    }
    for name in {part for path in modules for part in (path.partition(".")[0], path)}:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for name, contents in modules.items():
        vars(sys.modules[name]).update(contents)
    return ros
