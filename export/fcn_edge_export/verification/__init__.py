"""Whether a file decides like its reference."""
