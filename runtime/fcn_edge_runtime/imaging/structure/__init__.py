"""What an image file declares, read before Pillow sees it: sizes, orientation, and how much work it makes.

Each module reads one format's own structure, within limits, and returns a `Structure`. Pillow is then given
only the parts of the file that define pixels: profiles, texts, EXIF and thumbnails never reach it.
"""
