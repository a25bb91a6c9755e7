"""Networks that other libraries saved, each with its weights, classes and preprocessing."""
