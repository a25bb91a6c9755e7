"""The main job on the corridor model, and a page about it."""
