"""The JavaScript states its types in comments, which TypeScript checks."""

from __future__ import annotations

import subprocess

import pytest

from .conftest import ROOT


@pytest.mark.slow
def test_the_javascript_passes_strict_type_checks(packages):
    compiler = packages / ".bin/tsc"
    if not compiler.exists():
        pytest.skip("TypeScript is not installed: make node-packages")
    options = ["--noEmit", "--allowJs", "--checkJs", "--strict", "--target", "es2022", "--module", "nodenext"]
    files = sorted((ROOT / "runtime/web").rglob("*.js"))
    libraries = ["--lib", "es2023,dom,dom.iterable,dom.asynciterable"]
    done = subprocess.run([compiler, *options, *libraries, *files], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout
