"""Names of the four topics that every transport publishes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fcn_edge_runtime._text import printable
from fcn_edge_runtime.errors import UsageError

__all__ = ["Topics", "full_name", "node_name"]

_LONGEST_TOPIC = 200  # characters: DDS takes 255, with the prefix and names of ours
_LONGEST_NODE = 255
_SHOWN = 100


@dataclass(frozen=True)
class Topics:
    """Full names of the topics."""

    mask: str
    confidence: str
    overlay: str
    label_info: str

    @classmethod
    def below(cls, prefix: str = "/segmentation") -> Topics:
        """The names below a prefix such as "/segmentation" or "front/segmentation".

        Raises:
            UsageError: the prefix is not a valid ROS 2 name.
        """
        base = full_name(prefix)
        return cls(*(f"{base}/{name}" for name in ("mask", "confidence", "overlay", "label_info")))


def full_name(name: str) -> str:
    """An absolute topic name, validated by the rules of ROS 2: /a/b_c, no part starts with a digit.

    Raises:
        UsageError: the name is not a valid ROS 2 name.
    """
    parts = name.strip("/").split("/")
    for part in parts:
        good = part.isascii() and part.replace("_", "a").isalnum() and not part[0].isdigit()
        if not good or "__" in part or len(name) > _LONGEST_TOPIC:
            raise UsageError(
                f"the topic name is '{printable(name, _SHOWN)}', expected names of letters, digits and "
                "single underscores, joined by '/', such as /camera/image_raw, at most "
                f"{_LONGEST_TOPIC} characters"
            )
    return "/" + "/".join(parts)


def node_name(name: str) -> str:
    """A node's name, validated by the rules of ROS 2: letters, digits and underscores.

    Raises:
        UsageError: the name is not a valid ROS 2 name.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or len(name) > _LONGEST_NODE:
        raise UsageError(
            f"the node's name is '{printable(name, _SHOWN)}', expected letters, digits and underscores, "
            f"at most {_LONGEST_NODE}, such as front_bridge"
        )
    return name
