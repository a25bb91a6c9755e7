"""Procedural indoor scenes from a mobile robot's camera, with the true class of every pixel.

The modules in the order of the data flow: `layout` places walls, `building` builds them, `furniture`,
`clutter`, `people` and `robots` fill them, `lighting` lights them, `camera` chooses views, `render` draws,
and `sensor` degrades the image as a real camera would. All of them write into one `builder.Builder`.
"""
