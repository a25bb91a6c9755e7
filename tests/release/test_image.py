"""The steps of the Dockerfile, run by pip and find into a folder: there is no container here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST = 300e6  # bytes of the image
BASE = 140e6  # bytes of python:3.12-slim, rounded up: it is not measured here
ARTIFACT = ROOT / "tests" / "artifacts" / "0.1.0-float.onnx"


def instructions():
    """(instruction, its arguments) in order, with continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def kept_names():
    """What .dockerignore leaves in the context."""
    return {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}


def test_the_image_runs_as_a_user_who_is_not_root():
    last = [arguments for name, arguments in instructions() if name in ("FROM", "USER")][-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last)


def test_the_image_is_built_from_what_the_context_holds():
    """What the wheel needs is not ignored: the names after `!` are those of pyproject.toml."""
    kept = kept_names()
    assert {"pyproject.toml", "README.md", "LICENSE", "NOTICE", "fcn_edge", "export", "runtime"} <= kept
    assert all((ROOT / name).exists() for name in kept)


@pytest.mark.slow
def test_what_the_image_installs_is_small_and_runs(tmp_path):
    [step] = [arguments for name, arguments in instructions() if name == "RUN"]
    folder, context = tmp_path / "installed", tmp_path / "context"
    context.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "calibration", "heldout", "corridor-r18.safetensors")
    for name in kept_names():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, context / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, context)
    command = step.replace("/opt/fcn-edge", str(folder)).replace("python -m", f"{sys.executable} -m")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    subprocess.run(["bash", "-ec", command], cwd=context, env=environment, check=True, timeout=500)
    used = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{used / 1e6:.0f} MB installed")
    assert used < MOST - BASE
    for words in (["selftest", ARTIFACT], ["serve", "--help"]):
        done = subprocess.run(
            [folder / "bin" / "fcn-edge", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
