"""Small trained models: the code that trains them, and the results."""
