"""Other layouts of a verified file, for consumers that do not take it as it is; the labels stay the same."""
