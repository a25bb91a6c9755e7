"""How long, how much, and compared to what: measurements of models on this machine.

    paired      several things by turns, compared as ratios of runs side by side

Numpy and onnxruntime are all that is needed. Nothing here is timed against a limit: figures are for reading.
"""
