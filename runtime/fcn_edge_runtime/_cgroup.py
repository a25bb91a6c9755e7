"""Limits of the control groups that this process is in, of version 2 and 1: its own, and all above it."""

from __future__ import annotations

import os
from collections.abc import Iterator

__all__ = ["granted_cores", "memory_left"]

_MOUNT = "/sys/fs/cgroup"
_OWN = "/proc/self/cgroup"
_MOST = 1e6  # cores
_MEMORY = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))


def granted_cores(mount: str | os.PathLike[str] = _MOUNT, own: str | os.PathLike[str] = _OWN) -> float | None:
    """Cores that the quotas allow; None if they are unlimited or unknown.

    Args:
        mount: where control groups are.
        own: which of them are this process's, as in `/proc/self/cgroup`.
    """
    found = []
    for folder in _folders(mount, own, "cpu"):
        quota = _text(folder, "cpu.max")  # "150000 100000" or "max 100000"
        if quota is None:
            quota = f"{_text(folder, 'cpu.cfs_quota_us')} {_text(folder, 'cpu.cfs_period_us')}"
        try:
            most, period = map(float, quota.split())
            cores = most / period
        except (ValueError, ZeroDivisionError):
            continue
        if 0 < cores < _MOST:  # -1 is no limit
            found.append(cores)
    return min(found, default=None)


def memory_left(mount: str | os.PathLike[str] = _MOUNT, own: str | os.PathLike[str] = _OWN) -> int | None:
    """Bytes that the limits leave; None if they are unlimited or unknown. The arguments are as above."""
    found = []
    for folder in _folders(mount, own, "memory"):
        for limit, used in _MEMORY:
            most, now = _text(folder, limit), _text(folder, used)
            if most is not None and now is not None and most.strip().isdecimal() and now.strip().isdecimal():
                found.append(max(int(most) - int(now), 0))
    return min(found, default=None)


def _folders(mount: str | os.PathLike[str], own: str | os.PathLike[str], controller: str) -> Iterator[str]:
    """The folders of this process's groups for a controller, each with those above it.

    In a container, the path may be one outside of it: then only the folder at the top is there.
    """
    # Not pathlib: its import is a good part of our own share of the start time.
    for line in (_text(own) or "0::/").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:  # version 2, which may lie beside version 1
            roots = ["", "unified"]
        elif controller in controllers.split(","):
            roots = list(dict.fromkeys((controllers, controller)))
        else:
            continue
        for root in roots:
            parts = [part for part in path.split("/") if part and part != ".."]
            for count in range(len(parts), -1, -1):
                yield os.path.join(mount, root, *parts[:count])  # noqa: PTH118 - see above


def _text(*parts: str | os.PathLike[str]) -> str | None:
    try:
        with open(os.path.join(*parts), encoding="utf-8", errors="replace") as file:  # noqa: PTH118, PTH123 - see above
            return file.read()
    except OSError:
        return None
