"""The same network, weights and frames through plain export, five other engines, and fcn-edge.

    roster      engines, their precisions, and the virtual environment of each
    materials   what all engines get: weights, ONNX files, frames, and the labels of PyTorch in float32
    engines/    one module per engine: from materials to a callable that labels a frame
    worker      the process of one engine, in its own environment
    workers     starts and asks these processes; crashes and time-outs
    rounds      interleaved timing, A B C A B C, so that other load affects all engines equally
    results     medians, paired ratios, the share of equal labels
    table       Markdown and JSON; chart: bar chart

`make bench-engines` makes the environments and runs the comparison.
"""
