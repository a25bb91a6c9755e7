"""Fuzz a target for some seconds, guided by the branches that inputs reach.

    python -m tests.fuzz.fuzz TARGET SECONDS [FOLDER]

Starts from the target's good inputs and the kept findings. A finding ends the run with a nonzero exit code;
its input is in FOLDER, as crash-*, timeout-* or oom-*: fix the code, then keep the file in
tests/fuzz/corpus/TARGET.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import atheris

from tests.fuzz.bounds import check

CORPUS = Path(__file__).parent / "corpus"
SLOWER = 3  # with every branch counted


def main(name, seconds, folder):
    """Fuzz one target; does not return."""
    from tests.fuzz import targets

    target = targets.TARGETS[name]
    with atheris.instrument_imports(include=list(target.instrument), enable_loader_override=False):
        inputs = [*target.seeds(), *(path.read_bytes() for path in sorted((CORPUS / name).glob("*")))]
        for data in inputs:
            check(target, data, SLOWER)
    folder.mkdir(parents=True, exist_ok=True)
    seeds = Path(tempfile.mkdtemp(prefix="fcn-edge-seeds-"))
    for number, data in enumerate(inputs):
        (seeds / str(number)).write_bytes(data)

    def mutate(data, largest, seed):
        chance = random.Random(seed)  # noqa: S311 - changes that a seed repeats
        # Three quarters of the changes keep the form, a quarter of those are then changed at random, too.
        changed = target.mutate(data, chance) if chance.random() < 0.75 else data
        if changed == data or chance.random() < 0.25:
            changed = atheris.Mutate(changed, min(largest, len(changed) + 4096))
        return changed[:largest]

    options = {
        "max_total_time": seconds,
        "timeout": 30,
        "rss_limit_mb": 4096,
        "max_len": target.largest,
        "artifact_prefix": f"{folder}/",
        "verbosity": 1,
        "print_final_stats": 1,
        "len_control": 0,
    }
    arguments = [sys.argv[0], *(f"-{key}={value}" for key, value in options.items()), str(seeds)]
    custom = {"custom_mutator": mutate} if target.mutate else {}
    atheris.Setup(arguments, lambda data: check(target, data, SLOWER) and None, **custom)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3] if len(sys.argv) > 3 else "build/fuzz"))
