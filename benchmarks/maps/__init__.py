"""Maps made in several ways, compared with the labels of the whole image."""
