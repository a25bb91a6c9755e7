"""Networks of other libraries, exported and compared with PyTorch: the table of docs/networks.md."""
