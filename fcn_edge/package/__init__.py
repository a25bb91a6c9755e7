"""Folders that other programs take a model from: Triton's repository, Hugging Face's layout."""
