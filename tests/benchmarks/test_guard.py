"""`make bench-guard`: two wheels, case by case, in turns."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.guard import wheels
from benchmarks.guard.__main__ import Row, _exit_code, _mark, main
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.timing import Ratio, ratio_of

PACKAGES = ("fcn_edge", "export/fcn_edge_export", "runtime/fcn_edge_runtime")
BROKEN = "raise SystemExit('this version does not start')\n"


def write_wheel(folder, **replaced):
    """A wheel of this tree's modules, without a build; some packages begin with other code."""
    path = folder / "fcn_edge-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for package in PACKAGES:
            root = wheels.ROOT / package
            for file in root.rglob("*.py"):
                name = file.relative_to(root.parent).as_posix()
                first = replaced.get(root.name, "") if file == root / "__init__.py" else ""
                archive.writestr(name, first or file.read_bytes())
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return write_wheel(tmp_path_factory.mktemp("wheel"))


def guard(base, new, *arguments):
    return main(["--base", str(base), "--new", str(new), "--rounds", "1", *arguments])


def test_both_versions_run_a_case_and_their_ratio_is_shown(wheel, capsys):
    assert guard(wheel, wheel, "--only", "frame, int8", "--margin", "1000") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"old: {wheel.name}"
    (row,) = [line for line in lines if line.startswith("frame, int8")]
    assert row.count(" to ") == 2


def test_a_version_that_fails_a_case_is_named_with_why(wheel, tmp_path, capsys):
    broken = write_wheel(tmp_path, fcn_edge=BROKEN)
    assert guard(wheel, broken, "--only", "cold start") == 0
    assert "not measured: cold start" in (shown := capsys.readouterr().out)
    assert "this version does not start" in shown


@pytest.mark.parametrize(
    ("times", "mark"),
    [
        ((1.2, 1.3, 1.4), "slower"),
        ((0.9, 1.1, 1.5), ""),
        ((1.01, 1.02, 1.03), ""),
        ((0.5, 0.6, 0.7), "faster"),
    ],
)
def test_slower_means_that_quartiles_exclude_the_margin(times, mark):
    assert _mark(ratio_of(np.array(times), np.ones(3)), 0.05) == mark


def test_a_slower_case_fails_only_where_that_is_asked(capsys):
    same, slower = Ratio(1, (0.9, 1.1), 9), Ratio(1.4, (1.3, 1.5), 9)
    rows = [Row("open", 1, same, same), Row("map", 1, same, slower)]
    assert [_exit_code(rows, [], limit) for limit in (None, 1.2, 1.35)] == [0, 1, 0]
    assert "1.2 times: map" in capsys.readouterr().err
    assert [_exit_code([], ["open: fails"], limit) for limit in (None, 1.2)] == [0, 1]


@pytest.mark.parametrize("base", ["no-such-commit", "no-such.whl", "--output=x"])
def test_a_base_that_is_not_there_is_a_usage_error(base, tmp_path):
    with pytest.raises(UsageError):
        wheels.unpacked_base(base, tmp_path)


def test_without_git_a_wheel_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(wheels, "ROOT", tmp_path)
    with pytest.raises(UsageError, match="is no clone: name a wheel"):
        wheels.unpacked_base("", tmp_path)


def test_a_wheel_of_another_package_is_refused(tmp_path):
    path = tmp_path / "other-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other/__init__.py", "")
    with pytest.raises(UsageError, match="not a wheel of fcn-edge"):
        wheels.unpacked_base(str(path), Path(tmp_path))
