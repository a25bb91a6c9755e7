"""Comparison of a file with its reference."""
