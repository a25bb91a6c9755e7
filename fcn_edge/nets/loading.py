"""From `package.module:callable` or `path/to/file.py:callable` to the callable itself."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fcn_edge_runtime.errors import FcnEdgeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

__all__ = ["CallableName", "is_import_spec", "load_target"]

_LONGEST_REASON = 200  # characters
# Siblings that earlier files imported. They are forgotten before the next file is loaded: two folders may
# each have a `layers.py`, and the second network must not be built from the first one's.
_siblings: set[str] = set()


@dataclass(frozen=True)
class CallableName:
    """A callable that the user named, and the folder it may import from while it runs.

    Attributes:
        name: the spec without folders, e.g. `mynet.py:build`.
        function: the callable as it was found.
        folder: goes on `sys.path` while the callable runs; None if nothing must be added.
        first: whether the folder goes before everything else on `sys.path`.
    """

    name: str
    function: Callable[..., object] = field(repr=False)
    folder: Path | None = None
    first: bool = False

    def call(self, options: dict[str, object]) -> object:
        """What the callable returns for these keyword arguments.

        Raises:
            UsageError: it raised; names the exception and the line.
        """
        with _importable(self.folder, first=self.first), _named(self.name, self.folder, "failed"):
            return self.function(**options)


def is_import_spec(spec: str) -> bool:
    """Whether `spec` names a user's module or file, not a network of the registry."""
    return ":" in spec or spec.endswith(".py") or "/" in spec


def load_target(spec: str) -> CallableName:
    """The callable that `spec` names. Running the module or file is part of finding it.

    Raises:
        UsageError: no such file, module or callable, or it raised while it was being imported.
    """
    place, colon, attribute = spec.rpartition(":")
    if not colon or not attribute or not place:
        raise UsageError(
            f"{spec} does not name a callable: write {(place or spec).rstrip(':')}:NAME, e.g. mynet.py:build"
        )
    if place.endswith(".py") or "/" in place or "\\" in place:
        path = Path(place).expanduser().resolve()
        name, folder, first = f"{path.name}:{attribute}", path.parent, True
        module = _import_file(path, name)
    else:
        # The current folder comes last, so that it can add modules but never replace an installed one.
        name, folder, first = spec, Path.cwd(), False
        module = _import_module(place, spec, folder)
    return CallableName(name, _callable_of(module, attribute, name), folder, first)


def _import_file(path: Path, name: str) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"there is no file {path}: give the path of the Python file that builds the network")
    for sibling in _siblings:
        sys.modules.pop(sibling, None)
    _siblings.clear()
    # Under its own name: a file called `random.py` must not replace the library's `random`.
    module_name = f"_fcn_edge_net_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be imported as Python: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    # dataclasses and typing look a class's module up by name while the file is still running.
    sys.modules[module_name] = module
    try:
        with _importable(path.parent, first=True), _named(name, path.parent, "cannot be imported"):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]  # a partly imported module must not stay importable
        raise
    return module


def _import_module(dotted: str, name: str, folder: Path) -> ModuleType:
    with _importable(folder, first=False), _named(name, None, "cannot be imported"):
        try:
            return importlib.import_module(dotted)
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if dotted == missing or dotted.startswith(f"{missing}."):
                raise UsageError(
                    f"there is no module {missing!r} (for {name}): install it, or run in its folder"
                ) from error
            raise


def _callable_of(module: ModuleType, attribute: str, name: str) -> Callable[..., object]:
    found: Any = getattr(module, attribute, None)
    if found is None:
        own = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        close = difflib.get_close_matches(attribute, own, n=3, cutoff=0.4) or own[:5]
        raise UsageError(
            f"{name}: nothing there is called {attribute!r}; it has {', '.join(close) or 'no callables'}"
        )
    # An nn.Module is callable, but calling it runs it. It is known by its methods, so torch is not needed.
    # A class that has them is fine, because calling a class builds one.
    if not isinstance(found, type) and hasattr(found, "state_dict") and hasattr(found, "forward"):
        raise UsageError(
            f"{name} is already a network, expected a callable that returns one: def build(): return ..."
        )
    if not callable(found):
        raise UsageError(f"{name} has type {type(found).__name__}, expected a callable returning a network")
    return found  # type: ignore[no-any-return] # callable() does not narrow Any to a signature


@contextlib.contextmanager
def _importable(folder: Path | None, *, first: bool) -> Iterator[None]:
    """Makes `folder` importable, and records what was imported from it."""
    if folder is None or (not first and str(folder) in sys.path):
        yield
        return
    before = set(sys.modules)
    sys.path.insert(0 if first else len(sys.path), str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        # The code that ran may have changed sys.path, so the position may differ.
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))
        if first:
            _siblings.update(key for key in set(sys.modules) - before if _lies_in(sys.modules[key], folder))


def _lies_in(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and folder in Path(file).parents


@contextlib.contextmanager
def _named(name: str, folder: Path | None, verb: str) -> Iterator[None]:
    """Turns any exception of the user's code into one line that names it."""
    try:
        yield
    except FcnEdgeError:
        raise
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())
        reason = reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]} ..."
        raise UsageError(f"{name} {verb}: {type(error).__name__}: {reason}{_where(error, folder)}") from error


def _where(error: BaseException, folder: Path | None) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    own = [frame for frame in frames if folder is not None and folder in Path(frame.filename).parents]
    for frame in reversed(own or frames):
        if not frame.filename.startswith("<"):
            return f" ({Path(frame.filename).name}, line {frame.lineno})"
    return ""
