"""docs/networks.md, written from what became of the networks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.networks.results import Results

__all__ = ["PAGE", "as_page", "as_text"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "networks.md"
INTRODUCTION = Path(__file__).with_name("introduction.md")
LIMITS = Path(__file__).with_name("limits.md")
TITLES = {
    "huggingface": "Hugging Face transformers",
    "monai": "MONAI, two-dimensional",
    "repositories": "In the style of public repositories",
    "smp": "segmentation_models_pytorch",
}


def as_text(found: dict[str, Any]) -> str:
    """One line about a network for a terminal."""
    if found["outcome"] in ("right", "wrong"):
        numbers = f"{_sizes(found)}, {found['error']:.1e}, {found['seconds']:.0f} s"
        return f"{found['outcome']:8} {numbers} {_how(found)}"
    return f"{found['outcome']:8} {_reason(found)}"


def as_page(results: Results) -> str:
    """The page."""
    parts = [INTRODUCTION.read_text("utf-8"), _summary(results)]
    parts += [_library(library, results[library]) for library in TITLES if library in results]
    return "\n".join([*parts, LIMITS.read_text("utf-8")])


def _summary(results: Results) -> str:
    lines = [
        "| library | listed | tried | right | refused | failed | wrong |",
        "|---|---|---|---|---|---|---|",
    ]
    for library, title in TITLES.items():
        if library in results:
            listed, networks = results[library]["listed"], results[library]["networks"].values()
            count = Counter(found["outcome"] for found in networks)
            numbers = [
                listed,
                len(networks),
                *(count[kind] for kind in ("right", "refused", "failed", "wrong")),
            ]
            lines.append(f"| {title} | {' | '.join(map(str, numbers))} |")
    return "\n".join([*lines, ""])


def _library(library: str, found: dict[str, Any]) -> str:
    rows = [
        f"## {TITLES[library]}",
        "",
        f"{found['versions']}.",
        "",
        "| network | what comes out | sizes | error | seconds | MB |",
        "|---|---|---|---|---|---|",
        *(_row(name, outcome) for name, outcome in found["networks"].items()),
        "",
    ]
    return "\n".join(rows)


def _row(name: str, found: dict[str, Any]) -> str:
    seconds = f"{found['seconds']:.0f}" if "seconds" in found else ""
    memory = str(found.get("megabytes", ""))
    if found["outcome"] in ("right", "wrong"):
        what = "right" if found["outcome"] == "right" else f"**wrong** at {', '.join(found['bad'])}"
        cells = [what + (f", {how}" if (how := _how(found)) else ""), _sizes(found), f"{found['error']:.0e}"]
    else:
        cells = [f"{found['outcome']}: {_reason(found)}", "", ""]
    return f"| {name} | {' | '.join([*cells, seconds, memory])} |"


def _sizes(found: dict[str, Any]) -> str:
    """How many sizes were right, of those that count."""
    tried = len(found["right"]) + len(found["bad"])
    return f"{len(found['right'])} of {tried}"


def _how(found: dict[str, Any]) -> str:
    """What the file declares beyond any size, and the options that the message asked for."""
    parts = []
    options = found.get("with", {})
    if "working_size" in options:
        parts.append(f"working at {options['working_size']}")
    if found.get("multiple", 1) > 1:
        asked = " as the message asked" if "size_multiple" in options else ""
        parts.append(f"padded to multiples of {found['multiple']}{asked}")
    if found.get("largest"):
        parts.append(f"up to {'x'.join(map(str, found['largest']))}")
    if found.get("smallest", 1) > 33:
        parts.append(f"from {found['smallest']}")
    if found.get("unstable"):
        parts.append(f"unstable in PyTorch at {', '.join(found['unstable'])}")
    return ", ".join(parts)


def _reason(found: dict[str, Any]) -> str:
    text = " ".join(str(found.get("why", "")).split())
    return text.replace("|", "\\|").replace("<", "&lt;")
