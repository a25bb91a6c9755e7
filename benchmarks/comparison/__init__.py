"""The same network, weights and frames through the plain recipe, five other engines, and fcn-edge.

    roster      who takes part, at which precisions, in which virtual environment
    materials   what everybody gets: weights, ONNX files, frames, and the labels of PyTorch in float32
    engines/    one module an engine: materials in, a callable from a frame to its labels out
    worker      the process an engine runs in, in its own environment
    workers     the same seen from here: questions, answers, crashes, time-outs
    rounds      turns A B C A B C, so that whatever else the machine does hits all alike
    results     medians, paired ratios, the share of equal labels
    table       Markdown and JSON; chart: bars

`make bench-engines` makes the environments and runs it all.
"""
