"""What became of each network, kept as JSON beside this module, so that a part can be run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["KEPT", "Results", "merged", "read", "write"]

KEPT = Path(__file__).with_name("results.json")

Results = dict[
    str, Any
]  # library -> {"versions": ..., "listed": how many there are, "networks": {name: outcome}}


def read(path: Path = KEPT) -> Results:
    """What was found so far; nothing if there is no file."""
    found: Results = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return found


def write(results: Results, path: Path = KEPT) -> None:
    """Keep what was found."""
    path.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


def merged(results: Results, library: str, versions: str, names: list[str], found: Results) -> Results:
    """The results with new outcomes of some networks; those that the library no longer lists are left out.

    Args:
        results: so far.
        library: whose networks were tried.
        versions: of the library.
        names: all of its networks, in their order.
        found: name -> outcome, of those that were tried now.
    """
    known = {**results.get(library, {}).get("networks", {}), **found}
    networks = {name: known[name] for name in names if name in known}
    return {**results, library: {"versions": versions, "listed": len(names), "networks": networks}}
