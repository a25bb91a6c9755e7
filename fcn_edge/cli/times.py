"""What `run --time` says: how fast many images went, and which part of it took how long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fcn_edge_runtime.batch import FileResult

__all__ = ["Times"]


@dataclass(frozen=True)
class Times:
    """Of all that was segmented.

    Attributes:
        frames: images, and frames of videos.
        seconds: from the first image read to the last result written.
        network: milliseconds a frame, the mean.
        reading: the same of reading and decoding; 0 for videos and volumes.
        writing: the same of what is made of labels: pictures, encoding, files.
    """

    frames: int
    seconds: float
    network: float
    reading: float
    writing: float

    @classmethod
    def of(cls, done: Iterable[FileResult], seconds: float) -> Times:
        """Of results that came in so many seconds; those that failed do not count."""
        good = [result for result in done if result.error is None]
        frames = sum(result.frames for result in good)
        each = max(frames, 1)
        return cls(
            frames,
            seconds,
            sum(result.milliseconds * result.frames for result in good) / each,
            sum(result.reading for result in good) / each,
            sum(result.writing for result in good) / each,
        )

    @property
    def per_second(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds if self.seconds else 0.0

    @property
    def share(self) -> float:
        """The part of the time in which the network ran, 0 to 1: what is left to gain around it."""
        return self.network * self.frames / 1000 / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        return (
            f"{self.frames} in {self.seconds:.1f} s: {self.per_second:.1f} a second; the network ran for "
            f"{self.share:.0%} of the time, {self.network:.1f} ms each, and meanwhile reading took "
            f"{self.reading:.1f} ms and writing {self.writing:.1f} ms each"
        )

    def to_dict(self) -> dict[str, float]:
        """The same as plain JSON values."""
        return {**asdict(self), "per_second": self.per_second, "network_share": self.share}
