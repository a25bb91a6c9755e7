"""Memory of this process, its peak, and the memory left for another one."""

from __future__ import annotations

import sys
from pathlib import Path

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
    """Memory left for a new process, within the machine and the control group; None if unknown."""
    limits = [_kilobytes(Path("/proc/meminfo"), "MemAvailable:")]
    group = Path("/sys/fs/cgroup")
    for limit, used in (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "")):
        try:
            most = int((group / limit).read_text())
            now = int((group / used).read_text()) if used else 0
        except (OSError, ValueError):  # "max": no limit
            continue
        limits.append(max(most - now, 0))
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
