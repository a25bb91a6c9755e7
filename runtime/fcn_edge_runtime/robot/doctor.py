"""Checks whether this machine is ready for robots: packages, wheels, and the kernel's buffers."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fcn_edge_runtime._extras import install_command
from fcn_edge_runtime.robot.socket_buffer import WANTED_BUFFER, receive_buffer_limit

__all__ = ["Check", "robot_checks"]

_DDS_VARIABLES = (
    "ROS_DOMAIN_ID",
    "ROS_LOCALHOST_ONLY",
    "ROS_AUTOMATIC_DISCOVERY_RANGE",
    "RMW_IMPLEMENTATION",
    "CYCLONEDDS_URI",
)


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: what was checked.
        ok: whether it is fine; None for information only.
        found: what was found.
        fix: what to do; empty if nothing.
    """

    name: str
    ok: bool | None
    found: str
    fix: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The check as plain JSON values."""
        return asdict(self)


def robot_checks() -> tuple[Check, ...]:
    """Check this machine; nothing is started and nothing is changed."""
    checks = [
        _package("rosbags", "bags", "robot"),
        _package("pillow", "compressed images", "images"),
        _cyclonedds(),
        _opencv(),
        _buffer(),
        _rclpy(),
    ]
    checks += [Check(name, None, os.environ[name]) for name in _DDS_VARIABLES if name in os.environ]
    return tuple(checks)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _package(name: str, what: str, extra: str) -> Check:
    found = _version(name)
    if found:
        return Check(name, ok=True, found=f"{found} ({what})")
    return Check(name, ok=False, found=f"not installed ({what})", fix=install_command(extra))


def _cyclonedds() -> Check:
    found = _version("cyclonedds")
    if found:
        return _loads("cyclonedds", "cyclonedds.core", found)
    machine, python = platform.machine(), sys.version_info[:2]
    fits = sys.platform == "linux" and machine == "x86_64" and (3, 10) <= python <= (3, 13)
    where = f"{sys.platform} {machine}, Python {python[0]}.{python[1]}"
    fix = (
        install_command("dds")
        if fits
        else "cyclonedds 11 has no wheel for this machine: build Cyclone DDS and its Python binding from "
        "source, or use the ROS 2 node"
    )
    return Check("cyclonedds", ok=False, found=f"not installed ({where})", fix=fix)


def _opencv() -> Check:
    for name in ("opencv-python-headless", "opencv-python", "opencv-contrib-python"):
        found = _version(name)
        if found:
            return _loads(name, "cv2", found)
    return Check("opencv", ok=False, found="not installed (cameras, video)", fix=install_command("camera"))


def _loads(name: str, module: str, found: str) -> Check:
    from importlib import import_module

    try:
        import_module(module)
    except Exception as error:  # noqa: BLE001 - any reason that keeps a library from loading is the result
        reason = " ".join(str(error).split())[:200]
        return Check(name, ok=False, found=f"{found} does not load ({reason})", fix="reinstall it")
    return Check(name, ok=True, found=found)


def _buffer() -> Check:
    limit = receive_buffer_limit()
    if limit is None:
        return Check("net.core.rmem_max", None, "not available on this system")
    if limit >= WANTED_BUFFER:
        return Check("net.core.rmem_max", ok=True, found=f"{limit} bytes")
    return Check(
        "net.core.rmem_max",
        ok=False,
        found=f"{limit} bytes, expected {WANTED_BUFFER}: large images will be lost",
        fix=f"`sudo sysctl -w net.core.rmem_max={WANTED_BUFFER}`, and in /etc/sysctl.d to make it permanent",
    )


def _rclpy() -> Check:
    from importlib.util import find_spec

    found = find_spec("rclpy") is not None
    text = (
        "found: the node of runtime/ros2 can run in this interpreter" if found else "not in this interpreter"
    )
    return Check("rclpy", None, f"{text}, ROS_DISTRO is {os.environ.get('ROS_DISTRO', 'not set')}")
