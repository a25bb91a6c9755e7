"""A change beside the release, or the commit, before it: ratios of time, measured in turns.

cases       what is measured, in a process of its own that sees only one of the two
wheels      both as unpacked wheels
__main__    runs the cases of both in turns, and prints the table
"""
