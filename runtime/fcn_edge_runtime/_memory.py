"""Memory of this process, its peak, and the memory left for another one."""

from __future__ import annotations

import sys
from pathlib import Path

from fcn_edge_runtime._cgroup import memory_left

__all__ = ["available_bytes", "peak_bytes", "used_bytes"]


def peak_bytes() -> int | None:
    """Peak memory of this process in bytes; None where the system does not report it."""
    # Not getrusage on Linux: a child inherits its parent's peak there.
    found = _kilobytes(Path("/proc/self/status"), "VmHWM:")
    if found is not None:
        return found
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def used_bytes() -> int | None:
    """Memory of this process in bytes; None where the system does not report it."""
    return _kilobytes(Path("/proc/self/status"), "VmRSS:")


def available_bytes() -> int | None:
    """Memory left for a new process, within the machine and its control groups; None if unknown."""
    limits = [_kilobytes(Path("/proc/meminfo"), "MemAvailable:"), memory_left()]
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def _kilobytes(path: Path, key: str) -> int | None:
    """A line such as `VmHWM:    12345 kB`, in bytes."""
    try:
        for line in path.read_text().splitlines():
            if line.startswith(key):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return None
