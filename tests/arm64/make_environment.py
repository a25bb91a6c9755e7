"""Puts a Python for arm64 into a folder, with onnxruntime, and a command that runs it on this machine.

    python tests/arm64/make_environment.py .venv-arm64 PACKAGE...
    FCN_EDGE_ARM64_CPU=cortex-a72 .venv-arm64/bin/python -c 'import onnxruntime'

Debian's packages for arm64 are unpacked into `root`, PyPI's wheels into `site`, and QEMU's user emulation
runs them. Nothing is installed on the machine and no rights are needed: apt downloads into the folder, with
lists of its own. It takes Debian, or a distribution with apt and Debian's mirrors.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

PYTHON = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
PLATFORMS = (
    "manylinux_2_28_aarch64",
    "manylinux_2_27_aarch64",
    "manylinux_2_17_aarch64",
    "manylinux2014_aarch64",
)
EMULATOR = "qemu-aarch64-static"

# onnxruntime ends the process where /proc/cpuinfo is an x86's, which is what QEMU 7 shows. What a processor
# can do is asked of the emulated one (getauxval): these lines, a Cortex-A72's, need not tell the truth.
CPUINFO = """processor\t: {index}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""

# A program started by an emulated one is started by Linux, which knows only its own: so Python's name for
# itself must be a script.
COMMAND = """#!/bin/sh
here={here}
export PYTHONPATH="$PYTHONPATH${{PYTHONPATH:+:}}$here/site" FCN_EDGE_ARM64_PYTHON="$here/bin/python"
exec "{emulator}" -cpu "${{FCN_EDGE_ARM64_CPU:-max}}" -L "$here/root" "$here/root/usr/bin/{python}" "$@"
"""
CUSTOMIZE = """import os
import sys

sys.executable = os.environ["FCN_EDGE_ARM64_PYTHON"]
"""


def apt_get(folder: Path, *command: str, architecture: str = "arm64") -> None:
    """apt-get with lists, downloads and installed packages of its own."""
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    options = {
        "Dir::State": folder,
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "",
        "Debug::NoLocking": 1,
    }
    flags = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
    subprocess.run(["apt-get", "-qq", *flags, *command], check=True)


def unpack_packages(folder: Path, into: Path, *packages: str, architecture: str) -> None:
    """Debian's packages and what they need, unpacked."""
    apt_get(folder, "update", architecture=architecture)
    wanted = ["install", "-y", "--download-only", "--no-install-recommends", *packages]
    apt_get(folder, *wanted, architecture=architecture)
    into.mkdir(parents=True)
    for package in sorted((folder / "archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", package, into], check=True)
    shutil.rmtree(folder)


def emulator(folder: Path) -> Path:
    """The one that is installed, or else Debian's, unpacked."""
    if found := shutil.which(EMULATOR):
        return Path(found)
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    unpack_packages(folder / "apt", folder / "emulator", "qemu-user-static", architecture=architecture)
    return folder / "emulator/usr/bin" / EMULATOR


def main(folder: Path, packages: list[str]) -> None:
    """The whole folder, or none."""
    missing = [name for name in ("apt-get", "dpkg-deb", "dpkg") if shutil.which(name) is None]
    if missing:
        sys.exit(f"there is no {missing[0]} here: an emulated arm64 needs Debian's packages")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder = folder.absolute()
    qemu = emulator(folder)
    root = folder / "root"
    unpack_packages(folder / "apt", root, *PYTHON, architecture="arm64")
    python = next(
        path.name for path in (root / "usr/bin").iterdir() if re.fullmatch(r"python3\.\d+", path.name)
    )
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/cpuinfo").write_text("".join(CPUINFO.format(index=index) for index in range(2)))
    platforms = [part for name in PLATFORMS for part in ("--platform", name)]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    version = ["--python-version", python.removeprefix("python"), "--implementation", "cp"]
    target = ["--only-binary=:all:", "--target", folder / "site"]
    subprocess.run([*pip, *platforms, *version, *target, *packages], check=True)
    (folder / "site/sitecustomize.py").write_text(CUSTOMIZE)
    command = folder / "bin/python"
    command.parent.mkdir()
    command.write_text(COMMAND.format(here=folder, emulator=qemu, python=python))
    command.chmod(0o755)
    subprocess.run([command, "-c", "import onnxruntime"], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
