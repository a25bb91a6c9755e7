"""Device names and threads: what a user types, and the names that onnxruntime has for it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from fcn_edge_runtime._cgroup import granted_cores
from fcn_edge_runtime._extras import install_command, what_is_wrong
from fcn_edge_runtime._siblings import cores_of
from fcn_edge_runtime.errors import ProviderError, UsageError

__all__ = [
    "cores",
    "import_onnxruntime",
    "install_hint",
    "provider_named",
    "quiet_run",
    "release_of",
    "short_name",
]

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


def release_of(version: str) -> tuple[int, ...]:
    """The first two numbers of a version, which can be compared: "1.26.0.dev1" -> (1, 26)."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


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
    """CPU cores that this process may use: those of its affinity mask, limited by its control groups' quotas.

    Two threads of one core share its arithmetic, which one of them can fill: they count as one core, as in
    onnxruntime's, OpenVINO's and PyTorch's own defaults. A number in the environment variable
    OMP_NUM_THREADS, which job systems set, limits the cores, too.
    """
    try:
        allowed = cores_of(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        allowed = os.cpu_count() or 1
    limits = [granted_cores(), _stated(os.environ.get("OMP_NUM_THREADS", ""))]
    return max(1, min([allowed, *(int(limit) for limit in limits if limit is not None)]))


def _stated(text: str) -> int | None:
    """The first of OpenMP's numbers, one for each level of nesting; None where it is not one above 0."""
    number = text.split(",", maxsplit=1)[0].strip()
    return int(number) if number.isdecimal() and len(number) < 10 and int(number) else None
