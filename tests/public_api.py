"""The public interface as text: every name on the three faces, with its signature.

    python -m tests.public_api

writes tests/public_api.txt anew, to be read in review: a changed line there is a change for users.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

FACES = ("fcn_edge", "fcn_edge_export", "fcn_edge_runtime")
FILE = Path(__file__).with_name("public_api.txt")


def lines() -> Iterator[str]:
    """One line a name, and one a public method, property or attribute of a class."""
    for face in FACES:
        module = importlib.import_module(face)
        yield f"# {face}"
        for name in sorted(module.__all__):
            value = getattr(module, name)
            if inspect.isclass(value):
                yield from _class(name, value)
            elif callable(value):
                yield f"{name}{_signature(value)}"
            else:
                yield f"{name}: {type(value).__name__}"
        yield ""


def _class(name: str, value: type) -> Iterator[str]:
    if issubclass(value, Exception):
        yield f"class {name}({value.__bases__[0].__name__}), exit code {value.exit_code}"
        return
    yield f"class {name}{_signature(value)}"
    for member, found in sorted(vars(value).items()):
        if member.startswith("_") and member != "__call__":
            continue
        if isinstance(found, property):
            yield f"    {member}: {found.fget.__annotations__.get('return', 'Any')}"
        elif isinstance(found, (classmethod, staticmethod)):
            yield f"    {member}{_signature(getattr(value, member))}"
        elif inspect.isfunction(found):
            yield f"    {member}{_signature(found)}"


def _signature(value: object) -> str:
    """Without quotes and without the addresses of default factories."""
    text = str(inspect.signature(value)).replace("'", "")
    return text.replace("<factory>", "...")


if __name__ == "__main__":
    FILE.write_text("\n".join(lines()))
    print(FILE)
