"""The whole workflow on the corridor model, and a page about it."""
