"""A network that looks at windows of an image: what it gives for each, and how its scores lie on the pixels.

Where a network ends in bilinear upsampling, the file is run without its head: it gives scores of low
resolution, and `numpy_head` makes labels of them with the scale of the whole image, which no window has. Any
other file gives labels itself, since they depend on nothing outside of a window.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from math import lcm

import numpy as np

from fcn_edge_runtime.errors import ModelError, UsageError
from fcn_edge_runtime.imaging.arrays import check_sides
from fcn_edge_runtime.maps.spans import Reach
from fcn_edge_runtime.model.contract import check_results
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.model.without_head import scores_of
from fcn_edge_runtime.session.numpy_head import Axis
from fcn_edge_runtime.session.session import Session, open_session
from fcn_edge_runtime.trusted_session import open_trusted

__all__ = ["ScoreAxis", "TileNetwork"]

Values = dict[str, np.ndarray]
_LONG = 64  # a multiple of usual steps


@dataclass(frozen=True)
class ScoreAxis:
    """How scores lie along an axis of an image.

    Attributes:
        step: pixels between neighboring scores.
        scores: how many there are.
        axis: how they are upsampled; None where every pixel has its own.
    """

    step: int
    scores: int
    axis: Axis | None = field(repr=False)

    def seen(self, first: int, last: int) -> tuple[int, int]:
        """The pixels under the scores that these pixels are made of; the last may lie behind the image."""
        if self.axis is None:
            return first, last
        _, needed = self.axis.part(first, last)
        return needed.start * self.step, needed.stop * self.step


class TileNetwork:
    """A model that is opened for windows of images.

    Args:
        path: a model that `fcn-edge export` wrote.
        device: as for `Segmenter`.
        threads: as for `Segmenter`.
        confidence: whether the winners' probabilities are computed, too.
        probabilities: whether those of all classes are.
        overlap: of windows whose scores are blended, in pixels; None wants labels that are exact.

    Attributes:
        card: the model's card.
        digest: the SHA-256 of the file.
        reach: how far pixels matter, by the card; `exactness` widens it where that is not enough.
        step: pixels between neighboring scores.
        session: it computes scores of low resolution, or labels.
        confidence: as given, as are `probabilities` and `overlap`.
        fixed: (rows, columns) of a window, of a network that looks at images of one size; else None.

    Raises:
        UsageError: the network's labels depend on the whole image, so that tiles cannot have them, and no
            overlap was given; or the file does not compute confidence.
        FcnEdgeError: as `Segmenter` raises them.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        device: str = "auto",
        threads: int | None = None,
        *,
        confidence: bool = False,
        probabilities: bool = False,
        overlap: int | None = None,
    ) -> None:
        self._path, self._threads, self.overlap = path, threads, overlap
        self.confidence, self.probabilities = confidence, probabilities
        with ModelFile.open(path) as model:
            self.card, self.digest = model.card, model.digest
            if self.card.net.border == "unlabeled":
                raise UsageError(
                    f"{model.path} leaves the border of each image unlabeled, and tiles would have gaps: "
                    "export it with --border reflect"
                )
            if self.card.reject is not None:
                raise UsageError(
                    f"{model.path} leaves pixels of low confidence unlabeled, which maps do by themselves: "
                    "export it without --reject, and see `map --confidence`"
                )
            working = self.card.working_size
            self.fixed = None if working is None else working.size
            if overlap is None:
                _require_local(model)
            self.reach, self.step = Reach.of(model.card.geometry), 1
            self._cut = scores_of(model.data())
            if (
                confidence
                and not self.by_scores
                and "confidence" not in {t.name for t in model.summary.outputs}
            ):
                raise UsageError(
                    f"{model.path} does not compute confidence: export it with --outputs labels,confidence"
                )
            self.session = open_trusted(
                model, device, threads=threads, cut=self._cut.model if self.by_scores else None
            )
        if self.low:
            self.step = self._step()
            self.reach = self.reach.sampled(self.step)
        if self.fixed is not None:
            self.reach = Reach(self.step, 0, max(self.fixed))

    @property
    def low(self) -> bool:
        """Whether the network gives scores of low resolution."""
        return self._cut.align_corners is not None

    @property
    def by_scores(self) -> bool:
        """Whether `run` gives scores, of which labels are made here."""
        return self.low or self.probabilities or self.overlap is not None

    @property
    def around(self) -> int:
        """Pixels that the network sees besides a tile's, along an axis."""
        both = 2 * self.reach.margin + 4 * self.reach.unit
        return both if self.overlap is None else self.overlap + 2 * self.reach.unit

    def run(self, window: np.ndarray) -> Values:
        """What the network gives for a window (H, W, C): `scores` (classes, h, w), or `labels` and so on.

        Raises:
            ModelError: onnxruntime failed, or what it gave breaks the contract.
        """
        if self.by_scores:
            return {"scores": self.scores(window, self.session)}
        names = ("labels", "confidence") if self.confidence else ("labels",)
        values = self.session.run(window[None], names)
        check_results(values, (1, *window.shape[:2]), self.card)
        return {name: value[0] for name, value in values.items()}

    def scores(self, window: np.ndarray, session: Session) -> np.ndarray:
        """The scores (classes, h, w) of a window, by a session of `scores_session`."""
        name = self._cut.logits
        scores: np.ndarray = session.run(window[None], [name])[name][0]
        if not np.isfinite(scores).all():
            raise ModelError("the model gave scores that are not finite: check the range of the pixels")
        return scores

    def scores_session(self) -> Session:
        """A session that gives scores, also where `run` gives labels.

        Raises:
            ModelError: the file was replaced since it was opened.
        """
        if self.by_scores:
            return self.session
        with ModelFile.open(self._path) as model:
            if model.digest != self.digest:
                raise ModelError(f"{model.path} was replaced since it was opened: start again")
            return open_session(
                model,
                self.session.device,
                threads=self._threads,
                options=self.session.options,
                cut=self._cut.model,
            )

    def axes(self, height: int, width: int) -> tuple[ScoreAxis, ScoreAxis]:
        """How scores lie along the rows and along the columns of an image.

        Raises:
            InputError: the network does not take this size.
        """
        check_sides(height, width, self.card)
        if not self.low:
            return ScoreAxis(1, height, None), ScoreAxis(1, width, None)
        multiple = self.card.geometry.size_multiple if self._cut.padded and self.fixed is None else 1
        aligned = bool(self._cut.align_corners)
        found = []
        for pixels, scores in zip((height, width), self._counts(height, width), strict=True):
            upsampled = -(-pixels // multiple) * multiple
            found.append(ScoreAxis(self.step, scores, Axis.of(scores, upsampled, align_corners=aligned)))
        return found[0], found[1]

    def _counts(self, height: int, width: int) -> list[int]:
        """Scores along both axes: those of a small image with the same remainders, and the rest evenly."""
        if self.fixed is not None:
            return [-(-pixels // self.step) for pixels in (height, width)]
        unit = self.reach.unit
        least = -(-max(unit, self.reach.smallest) // unit) * unit
        small = [pixels % unit + least for pixels in (height, width)]
        few = self._scored(*small)
        return [
            count + (pixels - side) // self.step
            for pixels, side, count in zip((height, width), small, few, strict=True)
        ]

    def _step(self) -> int:
        """Pixels between neighboring scores, along the rows as along the columns."""
        if self.fixed is not None:
            steps = {
                side / scores for side, scores in zip(self.fixed, self._scored(*self.fixed), strict=True)
            }
            return _whole(steps)
        unit = lcm(self.reach.unit, _LONG)
        side = -(-self.reach.smallest // unit) * unit
        steps = set()
        for few, more in zip(self._scored(side, side), self._scored(side + unit, side + unit), strict=True):
            steps.add(unit / (more - few) if more > few else 0.0)
        return _whole(steps)

    def _scored(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of scores of an image of this size."""
        image = np.zeros((height, width, self.card.input.channels), self.card.input.dtype)
        rows, columns = self.scores(image, self.session).shape[1:]
        return rows, columns


def _whole(steps: set[float]) -> int:
    step = steps.pop()
    if steps or step < 1 or step != int(step):
        raise UsageError(
            f"the network's scores lie {step:g} pixels apart, expected a whole number along both axes: "
            "tiles of it do not fit together"
        )
    return int(step)


def _require_local(model: ModelFile) -> None:
    """Raise UsageError for a network whose labels depend on the whole image."""
    card = model.card
    if card.geometry.sees_whole_image:
        raise UsageError(
            f"{model.path} has layers that see the whole image (global pooling or attention), so its labels "
            "of a tile are not those of the whole: choose a network of local layers, or take labels that are "
            "not exact with --approximate overlap=256"
        )
    if card.working_size is not None:
        raise UsageError(
            f"{model.path} resizes each image to a working size, which tiles do not have: export it without "
            "--working-size, give --resolution for a coarser map, or take labels that are not exact with "
            "--approximate overlap=256"
        )
