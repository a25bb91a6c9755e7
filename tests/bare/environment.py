"""Environments that hold fcn-edge with a few extras and nothing else, as on a robot: no torch, no onnx.

An environment stays in build/bare until what is installed in it changes, so only the first run pays for it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("fcn_edge", "export/fcn_edge_export", "runtime/fcn_edge_runtime")


@dataclass(frozen=True)
class Environment:
    """A virtual environment in a folder."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(self, *words, cwd, program="fcn-edge"):
        """Run a program of the environment, and nothing of the source tree, in the folder `cwd`."""
        return subprocess.run(
            [self.folder / "bin" / program, *map(str, words)],
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=300,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        )


def make(folder, *requirements, python=sys.executable):
    """A new environment with requirements, at the versions of constraints.txt; pip itself stays outside."""
    subprocess.run([python, "-m", "venv", "--clear", "--without-pip", folder], check=True)
    environment = Environment(folder)
    install(environment, "-c", ROOT / "constraints.txt", *requirements)
    return environment


def install(environment, *arguments):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", environment.python]
    subprocess.run([*pip, "install", "--quiet", *arguments], check=True)


def kept(extras, *constraints):
    """The environment with `.[extras]` of this source tree, made or renewed where it must be.

    `constraints` are files with the versions of what constraints.txt does not name.
    """
    pins = _digest([ROOT / "pyproject.toml", ROOT / "constraints.txt", *constraints])
    with _locked(ROOT / "build" / "bare" / f"{extras.replace(',', '-')}-{pins}") as folder:
        stamp, sources = folder / "sources.txt", _digest(_sources())
        if not stamp.is_file():
            make(folder, *(word for file in constraints for word in ("-c", file)), f"{ROOT}[{extras}]")
        elif stamp.read_text() != sources:
            install(Environment(folder), "--no-deps", "--force-reinstall", ROOT)
        stamp.write_text(sources)
        return Environment(folder)


@contextmanager
def _locked(folder):
    """Test processes beside each other share what one of them makes."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _sources():
    for package in PACKAGES:
        yield from (path for path in (ROOT / package).rglob("*") if path.suffix in (".py", ".typed"))
    yield from (ROOT / "models").glob("*.toml")


def _digest(paths):
    """Of names and contents, and of this Python."""
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(paths):
        digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
