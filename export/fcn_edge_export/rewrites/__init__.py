"""Functions of PyTorch that freeze sizes when they are traced, rewritten for every size."""
