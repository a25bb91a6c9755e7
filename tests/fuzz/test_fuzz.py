"""Any bytes give a value or one of our errors, within 2 s of CPU time and 200 MB.

The corpus holds past findings, and files made by hand to be findings.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
ROOT = Path(__file__).parents[2]
SECONDS = 20


def python(module, *arguments):
    """Run a module of the tests in a process of its own, which a finding may end."""
    path = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    # By way of a shell: a process inherits the peak memory of the one that starts it, which libFuzzer limits.
    return subprocess.run(
        ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
    )


@pytest.mark.security(
    "arbitrary and re-sealed bytes to every parser", "our errors alone, within 2 s and 200 MB"
)
@pytest.mark.parametrize("target", TARGETS)
def test_past_findings_stay_fixed(target):
    done = python("tests.fuzz.replay", target)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-3000:]
    for path in (CORPUS / target).glob("*"):
        assert path.name in done.stdout


def test_the_corpus_belongs_to_targets():
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)


@pytest.mark.security(
    "arbitrary and re-sealed bytes to every parser", "our errors alone, within 2 s and 200 MB"
)
@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this machine"
)
@pytest.mark.parametrize("target", TARGETS)
def test_new_inputs_raise_only_our_errors(target, tmp_path):
    done = python("tests.fuzz.fuzz", target, SECONDS, tmp_path)
    found = [path.name for path in tmp_path.iterdir()]
    assert done.returncode == 0, f"{found}: {done.stdout[-500:]} {done.stderr[-3000:]}"
    assert "number_of_executed_units" in done.stderr
