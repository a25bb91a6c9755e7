"""Cameras, streams and video files, and where their frames go."""
