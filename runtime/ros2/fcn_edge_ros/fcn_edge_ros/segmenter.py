"""`ros2 run fcn_edge_ros segmenter`: starts the node, or reports why it cannot start.

Exit codes: 0 stopped, 1 it cannot start, 4 the device failed or a frame hangs: a restart may help.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
import threading

__all__ = ["DEVICE_FAILED", "main"]

DEVICE_FAILED = 4


def main() -> None:
    """Run the node until it is stopped."""
    try:
        # Ours first: it turns off the telemetry of onnxruntime, which is read when that is imported.
        import fcn_edge_runtime.robot  # noqa: F401, I001 - only to check that it is installed
        import onnxruntime  # noqa: F401 - the same
    except ImportError as error:
        # ROS executables run in the interpreter that built the workspace, not in an active venv.
        sys.exit(
            f"segmenter: {error.name or error} cannot be imported by {sys.executable} "
            f"(Python {platform.python_version()}), the interpreter of this workspace. Install it there, "
            f"`{sys.executable} -m pip install 'fcn-edge[cpu,images]'`, or add the site-packages folder of a "
            "venv of the same Python version to PYTHONPATH. Activating a venv is not enough."
        )
    code = run()
    from fcn_edge_runtime.robot.worker import WORKER

    if any(thread.name.startswith(WORKER) for thread in threading.enumerate()):
        os._exit(code)  # a frame hangs in a library, whose memory the end of the interpreter would free
    sys.exit(code)


def run() -> int:
    """Start, spin, stop; returns the exit code."""
    import rclpy
    from rclpy._rclpy_pybind11 import RCLError
    from rclpy.executors import ExternalShutdownException

    rclpy.init()
    try:
        return _spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except RCLError:
        if rclpy.ok():
            raise
        return 0  # a signal ended the context while the node was made, or waited for a message
    finally:
        rclpy.try_shutdown()


def _spin() -> int:
    """Start the node and run it until it is stopped or its device fails; returns the exit code."""
    import rclpy
    from rclpy.lifecycle import TransitionCallbackReturn

    from fcn_edge_ros.node import SegmenterNode, WorkerFailedError

    node = SegmenterNode()
    success = TransitionCallbackReturn.SUCCESS
    try:
        if node.autostart and not (
            node.trigger_configure() == success and node.trigger_activate() == success
        ):
            if not rclpy.ok():
                return 0  # a signal ended the context
            node.get_logger().fatal(
                "did not start: see above; with autostart:=false a lifecycle manager can retry"
            )
            return 1
        rclpy.spin(node)
    except WorkerFailedError as error:
        node.get_logger().fatal(f"the device failed: {error}")
        return DEVICE_FAILED
    else:
        return 0
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is ending already
        node.close()
        node.destroy_node()


if __name__ == "__main__":
    main()
