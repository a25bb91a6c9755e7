"""Networks and command line of fcn-edge: `fcn_edge.build("fcn_resnet50", num_classes=21)`.

Importing this loads neither torch nor numpy: a name is fetched when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fcn_edge.nets import build

__all__ = ["build"]


def __getattr__(name: str) -> object:
    if name == "build":
        from fcn_edge.nets import build

        return build
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
