"""make networks: each network in a process of its own, with a time limit; then the page is written.

A part can be run again: its results replace the earlier ones, and the page is written from all.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from benchmarks.networks.page import PAGE, as_page, as_text
from benchmarks.networks.results import merged, read, write
from fcn_edge_runtime._child import ChildError, environment_with, run_child

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = tuple(sorted(path.stem for path in (ROOT / "benchmarks/networks/libraries").glob("[a-z]*.py")))


def main() -> None:
    """Try the networks that were asked for, keep what became of them, and write the page."""
    asked = _arguments()
    for library in () if asked.page_only else asked.library or LIBRARIES:
        about = _worker(asked.python, asked.seconds, library)
        if "names" not in about:
            sys.exit(f"{library}: {about['why']}")
        names: list[str] = about["names"]
        chosen = [name for name in names if not asked.only or any(part in name for part in asked.only)]
        with ThreadPoolExecutor(asked.jobs) as pool:
            tried = {
                pool.submit(_worker, asked.python, asked.seconds, library, name): name for name in chosen
            }
            for done in as_completed(tried):
                name, found = tried[done], done.result()
                print(f"{library:12} {name:36} {as_text(found)}", flush=True)  # noqa: T201 (its result)
                # Read again: another part may be running beside this one.
                write(merged(read(), library, about["versions"], names, {name: found}))
    PAGE.write_text(as_page(read()), "utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make networks ARGS=...", description=__doc__)
    add = parser.add_argument
    add("library", nargs="*", metavar="LIBRARY", help=f"of {', '.join(LIBRARIES)}")
    add("--only", action="append", metavar="TEXT", help="networks whose names hold this; repeatable")
    add("--jobs", type=int, default=2, metavar="N", help="networks at once, of up to 9 GB each (default: 2)")
    add("--seconds", type=float, default=900, help="for each network (default: 900)")
    add("--python", type=Path, default=Path(sys.executable), help="of the environment with the libraries")
    add("--page-only", action="store_true", help="write the page from what was found before")
    return parser.parse_args()


def _worker(python: Path, seconds: float, *arguments: str) -> dict[str, Any]:
    """What a worker printed; why it failed, as an outcome, otherwise."""
    environment = environment_with(
        (ROOT, ROOT / "export", ROOT / "runtime"),
        HF_HUB_OFFLINE="1",  # random weights: nothing is fetched
        OMP_NUM_THREADS="1",  # there are others beside it
    )
    command = [str(python), "-m", "benchmarks.networks.worker", *arguments]
    try:
        printed = run_child(command, seconds=seconds, environment=environment, folder=ROOT)
    except (ChildError, OSError) as error:
        return {"outcome": "failed", "why": str(error)}
    found: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
