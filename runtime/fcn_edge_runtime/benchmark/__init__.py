"""Benchmarks of models on this machine: time, memory, and where they go.

    run         a whole benchmark (report.py: its options and result), made of:
    latency     percentiles of the time per frame
    frames      the frames to measure on: image files or computed ones
    fresh       a model in a fresh process (child.py is what runs there)
    coldstart   from process start to the first mask, compared with a bare onnxruntime session
    pacing      frames at a camera's rate, and missed deadlines
    spinning    the cost of letting idle threads spin
    overhead    the time per frame spent outside onnxruntime
    operators   the time per operator inside it (stages.py: before, network, head)
    sweep       time and memory over image area
    limits      how far each stage of a frame is from what the processor can do (peaks.py measures that)
    machine     the machine it was measured on

    tune        a search for session options that run one model faster here
                (search.py does it, candidates.py lists what it tries)

Needs numpy and onnxruntime alone. Timings are reported, never tested against limits.
"""
