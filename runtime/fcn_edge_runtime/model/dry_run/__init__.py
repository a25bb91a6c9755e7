"""A graph followed without running it: the shape of every tensor for an image of a given size.

    operators.py   the operators that are accepted, and why
    arithmetic.py, arrangement.py, windows.py
                   their rules: the shapes that each of them makes, and the work that it is
    rule.py        what a rule is, and how it reads its inputs
    values.py      the values of small tensors, which are the sizes of larger ones
    run.py         one run over a graph, with limits on what it makes

A file of one kilobyte can declare a tensor of terabytes, in more ways than can be listed: by a size that is
computed from constants, by a repeat or a broadcast, by twenty doublings. So nothing is listed here but the
operators that a network needs, and of each the shape of what it makes is known.
"""
