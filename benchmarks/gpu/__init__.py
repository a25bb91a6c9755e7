"""What an NVIDIA GPU shows, in one run of a few minutes: the tests for CUDA, and the time of a frame.

__main__.py   the stages, within a limit of time; one JSON
files.py      one network as float, fp16 and int8 files
pytorch.py    the same network in PyTorch, frame in to labels out
rows.py       the time of each, side by side
"""
