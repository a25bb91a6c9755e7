"""The node: subscription, worker thread, timers, and the transitions of a managed node.

    unconfigured --configure--> inactive --activate--> active
    model opened, publishers made   |   subscribed, worker and timers run

The callback stores the message and returns, so that the executor stays free; inference runs in a separate
thread, where onnxruntime releases the GIL.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy._rclpy_pybind11 import RCLError
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fcn_edge_ros.outputs import Outputs, profile
from fcn_edge_ros.parameters import PARAMETERS, Parameters
from fcn_edge_runtime.errors import FcnEdgeError
from fcn_edge_runtime.robot.cdr import decode_compressed_image, decode_image
from fcn_edge_runtime.robot.diagnostics import ERROR, Diagnostic, diagnose
from fcn_edge_runtime.robot.model import open_model
from fcn_edge_runtime.robot.pipeline import Pipeline
from fcn_edge_runtime.robot.publisher import LABEL_INFO_SECONDS
from fcn_edge_runtime.robot.worker import WORKER, Worker, WorkerStatus

__all__ = ["SegmenterNode", "WorkerFailedError"]

DIAGNOSTICS_SECONDS = 1.0
JOIN_SECONDS = 1.0  # for the current frame, so that the node ends within two seconds


class WorkerFailedError(Exception):
    """The device failed, or a frame hangs, while the node was active. The process may be restarted."""


class SegmenterNode(LifecycleNode):
    """Segments one image topic."""

    def __init__(self) -> None:
        super().__init__("segmenter")
        for name, (default, meaning) in PARAMETERS.items():
            # `Parameters` checks types: it accepts 1 for 1.0 and reports the expected type.
            self.declare_parameter(
                name, default, ParameterDescriptor(description=meaning, dynamic_typing=True)
            )
        self.add_on_set_parameters_callback(self._check_parameters)
        self._answer_wrong_transitions()
        # Timers go by a clock of their own: with use_sim_time and no /clock, the node's clock stands still.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._qos = ""
        self._given: Parameters | None = None
        self._pipeline: Pipeline | None = None
        self._outputs: Outputs | None = None
        self._worker: Worker[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._before: WorkerStatus | None = None
        self._failure: BaseException | None = None
        self._running: list[tuple[Callable[[object], object], object]] = []

    @property
    def autostart(self) -> bool:
        """Whether the node configures and activates itself."""
        return self._value("autostart") is not False

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the model and create the publishers."""
        return self._guarded("configured", self._configure, super().on_configure, state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the worker."""
        return self._guarded("activated", self._activate, super().on_activate, state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop the worker; the model stays open."""
        self._halt()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the model."""
        result = super().on_cleanup(state)
        self._release()
        return result

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop from any state."""
        self._halt()
        result = super().on_shutdown(state)
        self._release()
        return result

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything after a failed transition, so that the node can be configured again."""
        del state
        self._halt()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """Release everything at the end of the process."""
        self._halt()
        self._release()

    def _guarded(
        self,
        what: str,
        work: Callable[[], None],
        parent: Callable[[LifecycleState], TransitionCallbackReturn],
        state: LifecycleState,
    ) -> TransitionCallbackReturn:
        # rclpy turns exceptions of transitions into errors without a message; here they are logged.
        try:
            work()
        except FcnEdgeError as error:
            self.get_logger().error(f"not {what}: {error}")
            self._halt()
            self._release_if_unconfigured(what)
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            self.get_logger().fatal(f"not {what}: {type(error).__name__}: {error}")
            raise
        return parent(state)

    def _configure(self) -> None:
        given = self._given = Parameters.of({name: self._value(name) for name in PARAMETERS})
        segmenter = open_model(
            given.model_path,
            given.device,
            given.threads or None,
            confidence=given.publish_confidence,
            profile=given.profile or None,
            trusted_keys=given.keys,
        )
        self._pipeline = Pipeline(segmenter, given.options())
        self._outputs = Outputs(self, self._pipeline, given)
        self.get_logger().info(
            f"{segmenter.card.name}: {len(segmenter.card.classes)} classes on {segmenter.session.device} "
            f"({segmenter.session.why})"
        )

    def _activate(self) -> None:
        given, pipeline, outputs = self._given, self._pipeline, self._outputs
        decode = decode_compressed_image if given.compressed else decode_image
        worker = self._worker = Worker(
            pipeline,
            decode,
            outputs.frames.wanted,
            outputs.frames.publish,
            given.limits(),
            now=lambda: self.get_clock().now().nanoseconds,
        )
        self._stop, self._failure, self._before = threading.Event(), None, None
        self._thread = threading.Thread(
            target=self._work, args=(worker, self._stop), name=WORKER, daemon=True
        )
        self._thread.start()
        subscription = self.create_subscription(
            CompressedImage if given.compressed else Image,
            given.input_topic,
            worker.put,
            profile(given.input_reliability, given.input_depth),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            raw=True,  # the message as CDR, which is decoded without copying the pixels
        )
        self._running = [
            (self.destroy_subscription, subscription),
            (self.destroy_timer, self._every(LABEL_INFO_SECONDS, outputs.frames.publish_label_info)),
            (self.destroy_timer, self._every(DIAGNOSTICS_SECONDS, self._diagnose)),
            # Publishers are enabled only after this transition: the first message is sent a little later.
            (self.destroy_timer, self._once(0.05, outputs.frames.publish_label_info)),
        ]
        if given.scales_camera:
            camera = self.create_subscription(
                CameraInfo,
                given.camera_info_topic,
                outputs.camera_info,
                profile(given.input_reliability, given.input_depth),
            )
            self._running.append((self.destroy_subscription, camera))
        qos = subscription.qos_profile  # after qos_overrides
        self._qos = f"{qos.reliability.name.lower()}, depth {qos.depth}"
        self.get_logger().info(f"listening to {subscription.topic_name} ({self._qos})")

    def _work(self, worker: Worker[bytes], stop: threading.Event) -> None:
        try:
            worker.run(stop)
        except BaseException as error:  # noqa: BLE001 - reported by the timer, in the executor's thread
            self._failure = error

    def _diagnose(self) -> None:
        status = self._worker.status()
        topic = self.resolve_topic_name(self._given.input_topic)
        session = self._pipeline.segmenter.session
        report = diagnose(
            status,
            self._before,
            topic=topic,
            qos=self._qos,
            publishers=self.count_publishers(topic),
            provider=session.device,
        )
        self._before = status
        if report.level:
            self.get_logger().warning(report.message, throttle_duration_sec=5.0)
        deadline = self._given.frame_deadline
        if self._failure is None and status.busy > deadline:
            self._failure = WorkerFailedError(f"one frame takes longer than {deadline:g} s: it hangs")
        if self._failure is not None:
            report = Diagnostic(ERROR, str(self._failure), report.values)
        self._outputs.diagnostics(report, self.get_fully_qualified_name(), session.device)
        if self._failure is not None:
            raise WorkerFailedError(str(self._failure)) from self._failure

    def _once(self, seconds: float, call: Callable[[], None]) -> object:
        def fire() -> None:
            timer.cancel()
            call()

        timer = self._every(seconds, fire)
        return timer

    def _every(self, seconds: float, call: Callable[[], None]) -> object:
        return self.create_timer(seconds, call, clock=self._steady)

    def _halt(self) -> None:
        """Unsubscribe, then stop the worker. Publishers stay, because it may publish until it is joined."""
        for destroy, entity in self._running:
            destroy(entity)
        self._running = []
        self._stop.set()
        if self._worker is not None:
            self._worker.mailbox.close()
        if self._thread is not None:
            self._thread.join(timeout=JOIN_SECONDS)
        self._worker = self._thread = None

    def _release_if_unconfigured(self, what: str) -> None:
        if what == "configured":
            self._release()

    def _release(self) -> None:
        if self._outputs is not None:
            self._outputs.destroy()
        if self._pipeline is not None:
            self._pipeline.segmenter.close()
        self._outputs = self._pipeline = None

    def _check_parameters(self, changed: list[Parameter]) -> SetParametersResult:
        reason = Parameters.refusal(
            {name: self._value(name) for name in PARAMETERS}, {each.name: each.value for each in changed}
        )
        if not reason and self._given is not None:
            self.get_logger().info("changed parameters are used when the node is configured again")
        return SetParametersResult(successful=not reason, reason=reason)

    def _answer_wrong_transitions(self) -> None:
        """Answer a transition that the state does not allow with success=False, and keep the state.

        rclpy raises from the service's callback, which ends the process (ros2/rclpy#1209).
        """
        service = getattr(self, "_service_change_state", None)
        if service is None:
            return
        own = service.callback

        def guarded(request: object, response: object) -> object:
            try:
                return own(request, response)
            except RCLError as error:
                self.get_logger().error(f"transition refused: {str(error).splitlines()[0]}")
                response.success = False
                return response

        service.callback = guarded

    def _value(self, name: str) -> object:
        parameter: Parameter = self.get_parameter(name)
        return parameter.value
