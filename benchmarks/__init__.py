"""Comparisons with other software. Not part of the wheel."""
