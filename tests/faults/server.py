"""A process that has imported everything, and runs a command line in a child of its own for each it reads.

So a hundred runs of a command cost a hundred times its work, not its imports. Reads one JSON list a line;
prints the child's process id, and its exit code when it has ended.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module


def serve(modules):
    """Import the modules, then run the code that stdin gives."""
    for module in modules:
        import_module(module)
    from fcn_edge.cli import main

    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1):
                os.dup2(nowhere, stream)
            code = 70
            try:
                main(json.loads(line))
            except SystemExit as end:
                code = end.code
            finally:
                os._exit(code)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1:])
