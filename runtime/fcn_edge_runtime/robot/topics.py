"""Names of the four topics that every transport publishes."""

from __future__ import annotations

from dataclasses import dataclass

from fcn_edge_runtime.errors import UsageError

__all__ = ["Topics", "full_name"]


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
        if not good or "__" in part:
            raise UsageError(
                f"the topic name is {name!r}, expected names of letters, digits and single underscores, "
                "joined by '/', such as /camera/image_raw"
            )
    return "/" + "/".join(parts)
