"""Device names and threads: what a user types, and the names that onnxruntime has for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from fcn_edge_runtime._extras import install_command, what_is_wrong
from fcn_edge_runtime.errors import ProviderError, UsageError

__all__ = ["cores", "import_onnxruntime", "install_hint", "provider_named", "quiet_run", "short_name"]

_SUFFIX = "ExecutionProvider"
_INSTALL = {
    "cpu": install_command("cpu"),
    "cuda": f"{install_command('cuda')} without the CPU-only onnxruntime beside it",
    "tensorrt": f"TensorRT, and {install_command('cuda')} without the CPU-only onnxruntime beside it",
    "openvino": f"{install_command('openvino')} in an environment without another onnxruntime",
    "coreml": "onnxruntime's macOS wheel",
    "dml": "`pip install onnxruntime-directml` in an environment without another onnxruntime",
}


def import_onnxruntime() -> Any:
    """The onnxruntime module.

    Raises:
        ProviderError: it is not installed, or cannot be imported; the message names the extra to install.
    """
    try:
        import onnxruntime
    except Exception as error:  # noqa: BLE001 - a build for another numpy raises whatever it meets first
        raise ProviderError(
            f"onnxruntime {what_is_wrong('onnxruntime', error)}: {install_command('cpu')}, "
            "or `fcn-edge[cuda]` for NVIDIA GPUs"
        ) from None
    if not hasattr(onnxruntime, "InferenceSession"):
        # Left behind when one of two onnxruntime wheels is uninstalled: a folder without the code.
        raise ProviderError(
            "the installed onnxruntime is incomplete (two of its wheels overwrote each other?): "
            "uninstall all of them, "
            f"then {install_command('cpu')} or `fcn-edge[cuda]`"
        )
    return onnxruntime


def short_name(provider: str) -> str:
    """'CUDAExecutionProvider' -> 'cuda'."""
    return provider.removesuffix(_SUFFIX).lower()


def provider_named(device: str, known: Sequence[str]) -> str:
    """The name that onnxruntime has for a device, given with or without 'ExecutionProvider', in any case.

    Raises:
        UsageError: no provider has that name; the message lists the known ones.
    """
    if isinstance(device, str):
        wanted = device.strip().lower().removesuffix(_SUFFIX.lower())
        for provider in known:
            if short_name(provider) == wanted:
                return provider
    names = ", ".join(["auto", *sorted(short_name(provider) for provider in known)])
    raise UsageError(f"there is no device {device!r}: expected one of {names}")


def install_hint(provider: str) -> str:
    """How to get an onnxruntime that has this provider."""
    name = short_name(provider)
    return _INSTALL.get(name, f"install an onnxruntime built with {provider}")


def quiet_run(runtime: Any) -> Any:
    """Options of a run that prints nothing: of one that fails, onnxruntime prints the file's own text.

    It is in the exception, too.
    """
    options = runtime.RunOptions()
    options.log_severity_level = 4
    return options


def cores() -> int:
    """CPU cores that this process may use: its affinity mask, limited by the control group's quota."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        allowed = os.cpu_count() or 1
    quota = _cgroup_quota("/sys/fs/cgroup")
    return max(1, allowed if quota is None else min(allowed, int(quota)))


def _cgroup_quota(root: str | os.PathLike[str]) -> float | None:
    """Cores allowed by the control group, version 2 or 1; None if unlimited or unknown."""
    try:
        quota, period = _text(root, "cpu.max").split()
    except (OSError, ValueError):
        try:
            quota = _text(root, "cpu", "cpu.cfs_quota_us")
            period = _text(root, "cpu", "cpu.cfs_period_us")
        except OSError:
            return None
    try:
        granted = float(quota) / float(period)
    except (ValueError, ZeroDivisionError):  # "max": no limit
        return None
    return granted if granted > 0 else None


def _text(root: str | os.PathLike[str], *parts: str) -> str:
    # Not pathlib: its import is a good part of our own share of the start time.
    with open(os.path.join(root, *parts), encoding="utf-8") as file:  # noqa: PTH118, PTH123 - see above
        return file.read()
