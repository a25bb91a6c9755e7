"""Adoption: an ONNX file of another program made one of ours, verified against the file itself."""
