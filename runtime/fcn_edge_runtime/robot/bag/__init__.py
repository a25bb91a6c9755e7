"""Recorded bags: read, written, and segmented."""
