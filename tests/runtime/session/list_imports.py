"""Print the packages outside the standard library that segmenting loads: run by a test, as a process."""

from __future__ import annotations

import sys


def foreign():
    names = {name.partition(".")[0] for name in sys.modules}
    return {name for name in names if name not in sys.stdlib_module_names and not name.startswith("_")}


before = foreign()
import fcn_edge_runtime  # noqa: E402 - what was there before is not its doing

assert foreign() - before <= {"fcn_edge_runtime"}, "importing the runtime alone must be cheap"

import numpy as np  # noqa: E402 - comes with the Segmenter

with fcn_edge_runtime.Segmenter(sys.argv[1]) as segmenter:
    segmenter(np.zeros((20, 30, 3), np.uint8)).areas()
print(*sorted(foreign() - before))
