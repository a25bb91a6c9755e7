"""From a verified float file to one of lower precision."""
