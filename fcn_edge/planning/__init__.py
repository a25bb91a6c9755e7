"""A plan for a camera's rate: what makes a model fast enough on this machine, and what it costs in labels.

plan        the plan: its options, its result, and the phases that make it
scene       the frames on which variants are compared
variants    a model at other working sizes and in int8, as graphs that can be measured
commands    what to type to get a variant as a verified file
"""
