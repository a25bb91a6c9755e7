from __future__ import annotations

import subprocess
import sys

import pytest

from tests.runtime.conftest import model_path, photo

__all__ = ["fcn_edge", "model_path", "photo", "photos"]


@pytest.fixture
def fcn_edge(tmp_path):
    """Run a command line in a process of its own, in an empty folder."""

    def run(*arguments, **options):
        command = [sys.executable, "-m", "fcn_edge", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, **options)

    return run


@pytest.fixture
def photos(tmp_path, photo):
    """photos/a.png, photos/sub/b.png"""
    from PIL import Image

    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    Image.fromarray(photo).save(folder / "a.png")
    Image.fromarray(photo[::-1]).save(folder / "sub" / "b.png")
    return folder
