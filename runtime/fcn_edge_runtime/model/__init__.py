"""What a model file is: its card, tensors, seal and golden vectors, read without onnxruntime."""
