"""Robots: image messages, one pipeline for every transport, bags, cameras, ROS 2 over DDS.

    message -> frames.py -> Pipeline (pipeline.py) -> mask, confidence, overlay, LabelInfo

`messages.py` holds the few ROS messages that are needed as plain dataclasses, `cdr.py` encodes them, and
`publisher.py` publishes a segmented frame. Bags, rclpy and DDS are thin adapters, so that a frame is
processed the same way wherever it comes from. Importing this package loads only numpy; rosbags, cyclonedds
and OpenCV are imported where they are used.
"""
