"""The receive buffer that whole images need, and the largest one that this kernel allows."""

from __future__ import annotations

from pathlib import Path

__all__ = ["WANTED_BUFFER", "receive_buffer_limit"]

# With 4 MB every frame of a 1080p stream arrives; with the kernel's default most are lost.
WANTED_BUFFER = 4 << 20
_RMEM_MAX = Path("/proc/sys/net/core/rmem_max")


def receive_buffer_limit() -> int | None:
    """The largest socket receive buffer in bytes (net.core.rmem_max); None where it is not reported."""
    try:
        return int(_RMEM_MAX.read_text())
    except (OSError, ValueError):
        return None
