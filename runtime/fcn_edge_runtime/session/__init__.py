"""The only place that makes an onnxruntime session: devices, options, profiles."""
