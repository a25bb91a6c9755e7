"""Programs that files are written for, in an environment of their own: `make consumers` installs them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

__all__ = ["run_consumer"]

PYTHON = Path(__file__).parents[1] / ".venv-consumers/bin/python"


def run_consumer(script, *arguments):
    """What a script prints where the consumers are installed; without them the test is skipped."""
    if not PYTHON.exists():
        pytest.skip("the consumers are not installed: make consumers")
    command = [PYTHON, script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout
