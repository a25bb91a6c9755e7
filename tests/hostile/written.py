"""Hostile model files that one environment writes and another opens.

    python -m tests.hostile.written write FOLDER      # needs onnx
    python -m tests.hostile.written open FOLDER [-v]  # needs the runtime alone; any onnxruntime, any provider

The provider is FCN_EDGE_HOSTILE_DEVICE, "cpu" if it is not set.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.hostile.opening import DEVICE, open_model, warm
from tests.hostile.registry import Case, Subject

CASES = "cases.json"


def write(folder: Path) -> None:
    """Write the good file and the hostile ones, with a list of what is expected of each."""
    from tests.hostile.registry import subject

    models, written = subject("models"), []
    for number, (name, make, expected) in enumerate(
        [("good", models.good, ()), *((c.name, c.make, c.expected) for c in models.cases)]
    ):
        place = folder / str(number)
        place.mkdir(parents=True, exist_ok=True)
        written.append((name, str(make(place).relative_to(folder)), expected))
    (folder / CASES).write_text(json.dumps(written))


def read(folder: Path) -> Subject:
    """What was written. A provider that does not start with a file is a held case, too."""
    (_, good, _), *cases = json.loads((folder / CASES).read_text())
    more = () if DEVICE == "cpu" else ("ProviderError",)
    return Subject(
        f"models, {DEVICE}",
        lambda _: folder / good,
        open_model,
        tuple(Case(name, lambda _, at=at: folder / at, (*expected, *more)) for name, at, expected in cases),
        warm,
    )


if __name__ == "__main__":
    from tests.hostile.__main__ import table

    what, place, *options = sys.argv[1:]
    if what == "write":
        write(Path(place))
    else:
        sys.exit(table([read(Path(place))], verbose="-v" in options))
