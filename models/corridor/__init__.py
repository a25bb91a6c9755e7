"""A mobile robot's view of a corridor: procedural scenes, the training on them, and the two trained networks.

`README.md` beside this file is the model page.
"""
