"""Cores behind the processors that Linux counts: of two threads of one core, both are processors there."""

from __future__ import annotations

import os
from collections.abc import Collection

__all__ = ["cores_of"]

_FOLDER = "/sys/devices/system/cpu"


def cores_of(processors: Collection[int], folder: str | os.PathLike[str] = _FOLDER) -> int:
    """How many cores these processors are. One whose core is not known counts as a core.

    Args:
        processors: their numbers.
        folder: where Linux describes them.
    """
    # Most machines of the edge have one thread a core: one file tells, instead of one for each processor.
    if _text(folder, "smt", "active") == "0":
        return len(processors)
    return len({_text(folder, f"cpu{n}", "topology", "thread_siblings_list") or str(n) for n in processors})


def _text(*parts: str | os.PathLike[str]) -> str:
    try:
        with open(os.path.join(*parts), encoding="utf-8", errors="replace") as file:  # noqa: PTH118, PTH123 - pathlib would slow every start
            return file.read().strip()
    except OSError:
        return ""
