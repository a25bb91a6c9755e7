"""SECURITY.md names a test for each case, and each of them is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAMED = re.findall(r"(tests/[\w/]+\.py)::(\w+)", (ROOT / "SECURITY.md").read_text())


def defined_in(path):
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_test_that_the_security_page_names_exists():
    assert len(NAMED) > 40
    missing = [f"{path}::{name}" for path, name in NAMED if name not in defined_in(path)]
    assert missing == []
