from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from fcn_edge_runtime import InputError, UsageError
from fcn_edge_runtime._extras import EXTRAS, extra_of, install_command, require

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def declared():
    """The extras of pyproject.toml: the names of the packages that each brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {
        extra: [re.split(r"[\[<>=; ]", line)[0].lower() for line in lines]
        for extra, lines in project["optional-dependencies"].items()
    }


def test_each_package_of_the_table_is_declared_in_its_extra(declared):
    for extra, brings in EXTRAS.items():
        assert set(brings.values()) <= set(declared[extra]), extra


def test_every_extra_named_in_code_and_pages_is_declared(declared):
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("models/**/*.md")]
    code = [path for folder in ("fcn_edge", "export", "runtime") for path in (ROOT / folder).rglob("*.py")]
    named = {}
    for path in (*pages, *code):
        text = path.read_text("utf-8")
        for match in re.findall(r"(?:fcn-edge|'\.)\[([\w, -]+)\]|install_command\(\"([\w\", ]+)\"\)", text):
            for name in re.findall(r"[\w-]+", "".join(match)):
                named.setdefault(name, path)
    assert {"cpu", "cuda", "images", "robot"} <= set(named)
    assert {name: path for name, path in named.items() if name not in declared} == {}


@pytest.mark.parametrize("module", [f"{module}.inner" for brings in EXTRAS.values() for module in brings])
def test_a_package_that_is_missing_is_named_with_its_extra(module, monkeypatch):
    top = module.partition(".")[0]
    monkeypatch.setitem(sys.modules, top, None)
    with pytest.raises(UsageError, match=r"^this needs .*, which is not installed: ") as caught:
        require(module, "this", UsageError)
    extra = extra_of(module)
    assert EXTRAS[extra][top] in str(caught.value)
    assert str(caught.value).endswith(install_command(extra))


def test_a_package_that_does_not_load_gives_its_reason(tmp_path, monkeypatch):
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    reason = (
        r"cannot be imported \(ImportError: libGL\.so\.1: cannot open .*\): "
        r"`pip install 'fcn-edge\[camera\]'`"
    )
    with pytest.raises(InputError, match=reason):
        require("cv2", "reading cameras and videos")


def test_ctrl_c_during_an_import_stays_ctrl_c(tmp_path, monkeypatch):
    # What pybind11 makes of it.
    (tmp_path / "cv2.py").write_text("raise ImportError('no') from KeyboardInterrupt()")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    with pytest.raises(KeyboardInterrupt):
        require("cv2", "reading cameras and videos")
