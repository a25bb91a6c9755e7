"""The ONNX graph around a network: input formula, heads, geometry."""
