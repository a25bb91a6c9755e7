"""`make help` and .ci/run keep up with the Makefile."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
PHONY = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
TARGETS = set(PHONY.replace("\\", " ").split()) - {"help"}


def test_make_help_lists_every_target():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^make ([\w-]+) ", shown, re.MULTILINE)) == TARGETS


def test_the_ci_script_runs_targets_that_exist():
    words = re.findall(r"^make (.+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert {"check", "test", "package-check"} <= {word for line in words for word in line.split()} <= TARGETS


def test_every_target_uses_variables_that_have_a_value():
    command = ["make", "--dry-run", "--warn-undefined-variables", *sorted(TARGETS)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert "undefined variable" not in shown.stderr
