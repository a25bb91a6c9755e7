"""The runtime on the newer Pythons that pyproject.toml names, each in an environment of its own.

3.10 is that of `make test-oldest`, and 3.11 that of all other tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import tomllib

from tests.bare.environment import ROOT, make
from tests.runtime.make_models import KINDS, WRONG, build

NEWER = ("3.12", "3.13")
TESTS = ("pytest", "mcap-ros2-support")
RUNTIME = ("imaging", "model", "evaluation", "test_*.py", "robot/test_bags.py", "session/test_session.py")
COMMANDS = ("run", "run_videos", "evaluate", "completion")


def python_of(version):
    """A Python of that version on this machine; None if there is none."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    return installed[-1] if installed else shutil.which(f"python{version}")


def test_the_package_names_the_pythons_that_are_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [c.rpartition(" ")[2] for c in project["classifiers"] if " :: Python :: 3." in c]
    assert named == ["3.10", "3.11", *NEWER]


@pytest.mark.slow
@pytest.mark.parametrize("version", NEWER)
def test_the_runtime_works_on_a_newer_python(version, tmp_path):
    python = python_of(version)
    if python is None:
        pytest.skip(f"Python {version} is not installed")
    models = tmp_path / "models"
    models.mkdir()
    for kind in (*KINDS, *WRONG, "tied"):
        build(kind, models / f"{kind}.onnx")
    bare = make(tmp_path / "env", f"{ROOT}[cpu,images,robot,camera,plots]", *TESTS, python=python)
    parts = ["tests/artifacts", *(f"tests/cli/test_{name}.py" for name in COMMANDS)]
    parts += sorted(str(path) for name in RUNTIME for path in (ROOT / "tests" / "runtime").glob(name))
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    env |= {"FCN_EDGE_TEST_MODELS": str(models), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [bare.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *parts],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    print(done.stdout.splitlines()[-1])
