# ruff: noqa: INP001 - launch files are not in a package
"""Start one segmenter.

ros2 launch fcn_edge_ros segmenter.launch.py model:=/models/road.onnx image:=/camera/image_raw
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode


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
            LifecycleNode(
                package="fcn_edge_ros",
                executable="segmenter",
                name="segmenter",
                namespace=LaunchConfiguration("namespace"),
                output="screen",
                respawn=True,
                respawn_delay=2.0,
                parameters=[
                    LaunchConfiguration("params_file"),
                    {
                        "model_path": LaunchConfiguration("model"),
                        "image_topic": LaunchConfiguration("image"),
                        "device": LaunchConfiguration("device"),
                    },
                ],
            ),
        ]
    )
