"""The ROS 2 wire (DDS), without ROS."""
