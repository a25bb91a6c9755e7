"""Which processor this is: measurements on one do not apply to another."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

__all__ = ["adds_exactly", "computes_in_bfloat16", "processor_name"]

# The instructions that decide how fast onnxruntime multiplies. A name alone is not enough: virtual machines
# often give processors of several generations the same name.
_INSTRUCTIONS = (
    *("avx", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimddp", "asimdhp", "i8mm", "bf16", "sve", "sve2"),
)
_LONGEST = 200
# Each accumulates 8-bit products in 32 bits; x86 without them adds pairs in 16 bits, which saturate.
_EXACT = {"avx_vnni", "avx512_vnni", "amx_int8"}
_BFLOAT16 = {"avx512_bf16", "amx_bf16"}  # where OpenVINO by itself computes in it


@functools.cache
def adds_exactly() -> bool:
    """Whether this processor accumulates 8-bit products without saturating.

    All do except x86 before VNNI. Where the x86 generation is unknown (not Linux), the answer is False.
    """
    return _exact(platform.machine(), _cpuinfo())


@functools.cache
def computes_in_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself; else it costs OpenVINO conversions.

    Where that is unknown (not Linux), the answer is False.
    """
    return not _BFLOAT16.isdisjoint(_flags(_cpuinfo()))


def _cpuinfo() -> str:
    """Linux's description of the processor; empty elsewhere."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _exact(machine: str, cpuinfo: str) -> bool:
    x86 = machine.lower() in ("x86_64", "amd64", "i386", "i686", "x86")
    return not x86 or not _EXACT.isdisjoint(_flags(cpuinfo))


def processor_name() -> str:
    """Model name and vector instructions, such as "AMD EPYC 7763 64-Core Processor (avx avx2)".

    On ARM boards where Linux gives no name, the board's name and its cores' part numbers. At most 200
    printable characters.
    """
    text = _cpuinfo()
    if not text:
        return _plain(platform.processor() or platform.machine())
    return _plain(_described(text, _board(Path("/proc/device-tree/model"))))


def _described(cpuinfo: str, board: str) -> str:
    """The line for the text of /proc/cpuinfo and the name of the board, which may be empty."""
    found = _entries(cpuinfo)
    names = sorted(found.get("model name", ()))
    if not names:
        parts = [f"part {part}" for part in sorted(found.get("cpu part", ()))]
        names = [board or platform.machine(), *parts]
    flags = _flags(cpuinfo)
    fast = [name for name in _INSTRUCTIONS if name in flags]
    return ", ".join(names) + (f" ({' '.join(fast)})" if fast else "")


def _entries(cpuinfo: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip().lower(), set()).add(value.strip())
    return found


def _flags(cpuinfo: str) -> set[str]:
    found = _entries(cpuinfo)
    return {
        flag for line in found.get("flags", set()) | found.get("features", set()) for flag in line.split()
    }


def _board(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:_LONGEST].strip()
