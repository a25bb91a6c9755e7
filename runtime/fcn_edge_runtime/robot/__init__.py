"""Robots: image messages, one pipeline for every transport, bags, cameras, the ROS 2 wire.

    message -> frames.py -> Pipeline (pipeline.py) -> mask, confidence, overlay, LabelInfo

`messages.py` holds the few ROS messages this needs as plain dataclasses, `cdr.py` their bytes. Bags, rclpy
and DDS each adapt to these, so that a frame is treated alike wherever it comes from. Importing this package
loads numpy alone; rosbags, cyclonedds and OpenCV are imported where they are used.
"""
