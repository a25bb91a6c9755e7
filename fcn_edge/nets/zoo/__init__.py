"""The networks, one a module, and the parts they share."""
