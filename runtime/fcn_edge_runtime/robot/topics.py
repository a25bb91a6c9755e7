"""The four topics that every transport publishes, and their names."""

from __future__ import annotations

from dataclasses import dataclass

from fcn_edge_runtime.errors import UsageError

__all__ = ["Topics", "full_name"]


@dataclass(frozen=True)
class Topics:
    """Full names of the topics, below one prefix."""

    mask: str
    confidence: str
    overlay: str
    label_info: str

    @classmethod
    def below(cls, prefix: str = "/segmentation") -> Topics:
        """The names below a prefix such as "/segmentation" or "front/segmentation".

        Raises:
            UsageError: ROS 2 allows no such name.
        """
        base = full_name(prefix)
        return cls(*(f"{base}/{name}" for name in ("mask", "confidence", "overlay", "label_info")))


def full_name(name: str) -> str:
    """A topic's name from the root, checked by the rules of ROS 2: /a/b_c, no part starting with a digit.

    Raises:
        UsageError: ROS 2 allows no such name.
    """
    parts = name.strip("/").split("/")
    for part in parts:
        good = part.isascii() and part.replace("_", "a").isalnum() and not part[0].isdigit()
        if not good or "__" in part:
            raise UsageError(
                f"the topic name is {name!r}, expected names of letters, digits and single underscores, "
                "joined by '/', such as /camera/image_raw"
            )
    return "/" + "/".join(parts)
