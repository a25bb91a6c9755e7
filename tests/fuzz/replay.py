"""Give a target its good inputs and every kept finding again: `python -m tests.fuzz.replay TARGET`.

Prints one line for each; ends with a nonzero exit code at the first that is still a finding.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fuzz.bounds import check
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"


def main(name, paths):
    """Replay one target: these files, or all that are kept."""
    target = TARGETS[name]
    for number, data in enumerate(target.seeds()):
        print(f"seed {number}", flush=True)
        assert check(target, data) is None
    for path in paths or sorted((CORPUS / name).glob("*")):
        print(path.name, flush=True)
        print(f"  {check(target, path.read_bytes()) or 'accepted'}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], [Path(path) for path in sys.argv[2:]])
