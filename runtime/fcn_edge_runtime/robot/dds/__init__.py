"""ROS 2 over DDS, on machines without ROS."""
