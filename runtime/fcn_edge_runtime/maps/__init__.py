"""Images of any size in exact tiles, and georeferenced rasters."""
