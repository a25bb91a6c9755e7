"""Benchmarks that compare with other software. Nothing here is installed."""
