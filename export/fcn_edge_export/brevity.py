"""Names and messages of other software in one short line, for messages of ours."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["brief", "listed"]

_LISTED = 8
# What onnxruntime puts before its reasons: an error code, the status, and a line of its code.
_PREFIXES = (
    (re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : "), ""),
    (
        re.compile(
            r"Non-zero status code returned while running (\w+) node\. Name:'([^']*)' Status Message: "
        ),
        r"\1 '\2': ",
    ),
    (re.compile(r"/\S+\.(?:cc|h|cpp|hpp):\d+ (?:[^()]*\([^()]*\)(?: const)? )?"), ""),
    (re.compile(r"(?:onnxruntime cannot load the model: )?This is an invalid model\. (?:Error: )?"), ""),
)


def listed(names: Iterable[str]) -> str:
    """The first of some names, each of at most 80 characters."""
    texts = [str(name)[:80] for name in names]
    more = f" and {len(texts) - _LISTED} more" if len(texts) > _LISTED else ""
    return ", ".join(texts[:_LISTED]) + more


def brief(error: object) -> str:
    """The message of another library in one line of at most 300 characters, without places in its code."""
    text = " ".join(str(error).split())
    for pattern, instead in _PREFIXES:
        text = pattern.sub(instead, text)
    return text[:300]
