"""What stands for numbers, numpy arrays and small tensors while a network is traced for any size."""
