"""Two versions of fcn-edge as folders: wheels, built where they are not given, and unpacked."""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fcn_edge_runtime._child import ChildError, run_child
from fcn_edge_runtime.errors import FcnEdgeError, UsageError

__all__ = ["ROOT", "Version", "unpacked_base", "unpacked_tree"]

ROOT = Path(__file__).parents[2]

_KEPT = Path("tests") / "artifacts"


@dataclass(frozen=True)
class Version:
    """A version that can be imported.

    Attributes:
        name: what it is, for the reader.
        folder: of the unpacked wheel.
        kept: copies of the files that this version wrote: (float, int8).
    """

    name: str
    folder: Path
    kept: tuple[Path, Path]


def unpacked_tree(place: Path, wheel: Path | None = None) -> Version:
    """This working tree, as it is; or a wheel in its stead.

    Raises:
        FcnEdgeError: the wheel cannot be built.
    """
    name = "this working tree" if wheel is None else wheel.name
    return _unpacked(name, wheel or _built(ROOT, place), place, ROOT)


def unpacked_base(base: str, place: Path) -> Version:
    """What is compared with: a wheel, or a commit, of which the wheel is built in a worktree of its own.

    Args:
        base: a path ending in .whl, anything that git knows as a commit, or "" for the last release, and
            the parent commit as long as there is none.
        place: an empty folder for all files of it.

    Raises:
        UsageError: there is no such wheel or commit, or no git.
        FcnEdgeError: the wheel cannot be built.
    """
    if base.endswith(".whl"):
        if not Path(base).is_file():
            raise UsageError(f"there is no wheel {base}")
        return _unpacked(Path(base).name, Path(base), place, ROOT)
    what = "" if base else "the last release, "
    if not base and not (base := _last_release()):
        what, base = "the parent commit, as there is no release yet: ", "HEAD~1"
    commit = _commit(base)
    with _worktree(commit, place / "tree") as tree:
        name = what + _git("log", "-1", "--format=%h %s", commit)
        return _unpacked(name[:110], _built(tree, place), place, tree)


def _last_release() -> str:
    tags = _git("tag", "--list", "v*", "--merged", "HEAD", "--sort=-version:refname")
    return tags.splitlines()[0] if tags else ""


def _commit(name: str) -> str:
    try:
        return _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except ChildError:
        raise UsageError(
            f"git knows no commit {name} here: expected a commit, a tag or the path of a wheel (.whl)"
        ) from None


@contextmanager
def _worktree(commit: str, tree: Path) -> Iterator[Path]:
    _git("worktree", "add", "--detach", "--quiet", str(tree), commit)
    try:
        yield tree
    finally:
        _git("worktree", "remove", "--force", str(tree))


def _git(*arguments: str) -> str:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        why = "git is not installed" if git is None else f"{ROOT} is no clone"
        raise UsageError(f"{why}: name a wheel to compare with, BASE=path/to/fcn_edge.whl")
    return run_child([git, "-C", str(ROOT), *arguments]).strip()


def _built(tree: Path, place: Path) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    try:
        run_child([*command, "--wheel-dir", str(place), str(tree)], seconds=600)
    except ChildError as error:
        raise FcnEdgeError(f"the wheel of {tree} could not be built: pip {error}") from None
    (wheel,) = place.glob("*.whl")
    return wheel


def _unpacked(name: str, wheel: Path, place: Path, tree: Path) -> Version:
    folder = place / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    if not (folder / "fcn_edge_runtime").is_dir():  # or that of the environment would be measured
        raise UsageError(f"{wheel} is not a wheel of fcn-edge")
    version = wheel.name.split("-")[1]
    return Version(name, folder, (_kept(tree, version, "float", place), _kept(tree, version, "int8", place)))


def _kept(tree: Path, version: str, kind: str, place: Path) -> Path:
    """A copy of the kept file of a version, or of the newest there is."""
    there = sorted((tree / _KEPT).glob(f"*-{kind}.onnx"))
    if not there:
        raise UsageError(f"{tree / _KEPT} holds no {kind} file")
    exact = tree / _KEPT / f"{version}-{kind}.onnx"
    copy = place / f"{kind}.onnx"
    shutil.copy(exact if exact in there else there[-1], copy)
    return copy
