"""Procedural indoor scenes, seen by a mobile robot, with the true class of every pixel.

The modules, in the order in which data passes: `layout` decides where walls are, `building` makes them,
`furniture`, `clutter`, `people` and `robots` fill them, `lighting` lights them, `camera` looks, `render`
draws, and `sensor` spoils the picture as a real camera would. All of them write into one `builder.Builder`.
"""
