"""Open every hostile input and print what held: `python -m tests.hostile [-v] [SUBJECT...]`.

Ends with exit code 1 if one fell. `-v` prints a line for every case.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.hostile.harness import results
from tests.hostile.registry import SUBJECTS, Subject, subject


def main(*arguments: str) -> int:
    """Print the table of all subjects, or of those that are named. Returns the exit code."""
    names = [name for name in arguments if name != "-v"] or SUBJECTS
    return table([subject(name) for name in names], verbose="-v" in arguments)


def table(subjects: Sequence[Subject], *, verbose: bool) -> int:
    """Open every case and print a line for each subject, and for what fell. Returns the exit code."""
    rows, fallen = [], []
    for opened in subjects:
        name, found = opened.name, []
        for result in results(opened):
            found.append(result)
            if verbose:
                held = "held" if result.held else "FELL"
                costs = f"{result.seconds:6.2f} s{result.megabytes:6.0f} MB"
                print(f"{held} {costs}  {result.name}: {result.outcome} {result.message}"[:240], flush=True)
        fallen += [(name, result) for result in found if not result.held]
        rows.append((name, found))
    print(f"{'subject':<16}{'tried':>7}{'held':>7}{'fell':>7}{'worst s':>10}{'worst MB':>10}")
    for name, found in rows:
        held = sum(result.held for result in found)
        worst = [max((getattr(r, key) for r in found), default=0.0) for key in ("seconds", "megabytes")]
        print(f"{name:<16}{len(found):>7}{held:>7}{len(found) - held:>7}{worst[0]:>10.2f}{worst[1]:>10.0f}")
    print("seconds of the processor and megabytes of memory beyond a good input")
    for name, result in fallen:
        print(f"fell: {name}, {result.name}: {result.outcome} {result.message}"[:400])
        print(f"      {result.seconds:.2f} s, {result.megabytes:.0f} MB")
    return 1 if fallen else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
