"""What must be true before a version is tagged, besides tests and packages: `make release-check`."""

from __future__ import annotations

import json
import re

import pytest
import tomllib

from tests.bare.environment import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
ARTIFACTS = ROOT / "tests" / "artifacts"


def test_the_newest_entry_of_the_changelog_is_this_version():
    heading = re.search(r"^## (\S+) ?(.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading[1] == VERSION
    if heading[2] == "(unreleased)":
        pytest.skip(f"CHANGELOG.md still calls {VERSION} unreleased: write the date before it is tagged")
    assert re.fullmatch(r"\(\d{4}-\d\d-\d\d\)", heading[2])


def test_the_packages_are_of_this_version():
    names = {path.name for path in (ROOT / "dist").iterdir()}
    assert names == {f"fcn_edge-{VERSION}-py3-none-any.whl", f"fcn_edge-{VERSION}.tar.gz"}


def test_this_version_has_its_kept_artifacts():
    record = json.loads((ARTIFACTS / f"{VERSION}.json").read_text())
    files = {entry["file"] for entry in record["files"]}
    assert files == {path.name for path in ARTIFACTS.glob(f"{VERSION}-*.onnx")}
    assert len(files) >= 9
