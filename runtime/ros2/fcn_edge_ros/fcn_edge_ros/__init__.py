"""A ROS 2 node for fcn-edge models: thin glue between rclpy and fcn_edge_runtime.robot."""
