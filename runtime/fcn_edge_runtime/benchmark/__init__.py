"""How long, how much, and compared to what: measurements of models on this machine.

    paired      several things by turns, compared as ratios of runs side by side
    latency     percentiles of the time of a frame
    frames      what to measure on: pictures or computed ones
    fresh       a model in a process of its own (child.py is what runs there)
    coldstart   from nothing to the first mask, beside a bare onnxruntime session
    pacing      frames that come as a camera sends them, and missed deadlines
    spinning    what it costs to let idle threads spin
    overhead    what a frame costs outside of onnxruntime
    operators   where the time goes inside of it (stages.py: before, network, head)
    sweep       time and memory against image area
    machine     what it was measured on
    run         all of it

Numpy and onnxruntime are all that is needed. Nothing here is timed against a limit: figures are for reading.
"""
