# ruff: noqa: INP001 - launch files are not in a package
"""Start one segmenter.

ros2 launch fcn_edge_ros segmenter.launch.py model:=/models/road.onnx image:=/camera/image_raw
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, RegisterEventHandler, TimerAction
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

# The node's exit code when the device failed or a frame hangs; a restart does not help against any other.
DEVICE_FAILED = 4
RESTART_SECONDS = 2.0


def generate_launch_description() -> LaunchDescription:
    """One segmenter with parameters from a file; the most common ones are launch arguments."""
    defaults = str(Path(get_package_share_directory("fcn_edge_ros")) / "config" / "segmenter.yaml")
    return LaunchDescription(
        [
            DeclareLaunchArgument("model", description="the .onnx file"),
            DeclareLaunchArgument("image", default_value="image", description="the image topic"),
            DeclareLaunchArgument("device", default_value="auto", description="auto, cpu, cuda, ..."),
            DeclareLaunchArgument("namespace", default_value="", description="of the node and its topics"),
            DeclareLaunchArgument("params_file", default_value=defaults, description="further parameters"),
            *_segmenter(),
        ]
    )


def _segmenter() -> list[Action]:
    """The node, and what starts it again after its device failed."""
    node = LifecycleNode(
        package="fcn_edge_ros",
        executable="segmenter",
        name="segmenter",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        parameters=[
            LaunchConfiguration("params_file"),
            {
                "model_path": LaunchConfiguration("model"),
                "image_topic": LaunchConfiguration("image"),
                "device": LaunchConfiguration("device"),
            },
        ],
    )

    def restarted(event: object, context: object) -> list[Action]:
        del context
        failed = event.returncode == DEVICE_FAILED
        return [TimerAction(period=RESTART_SECONDS, actions=_segmenter())] if failed else []

    return [node, RegisterEventHandler(OnProcessExit(target_action=node, on_exit=restarted))]
