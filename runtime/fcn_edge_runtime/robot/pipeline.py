"""Pipeline: an image message in, the messages of a segmented image out; the same for every transport."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from fcn_edge_runtime.errors import ModelError, UsageError
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.robot.frames import image_message, read_frame
from fcn_edge_runtime.robot.messages import CompressedImage, Header, Image, LabelInfo, VisionClass
from fcn_edge_runtime.robot.shrink import grown, shrunk
from fcn_edge_runtime.segmentation import Segmentation, as_picture
from fcn_edge_runtime.segmenter import Segmenter

__all__ = [
    "MASK_ENCODINGS",
    "MASK_SIZES",
    "Pipeline",
    "PipelineOptions",
    "ReadFrame",
    "SegmentedFrame",
    "StageTimes",
]

MASK_ENCODINGS = ("auto", "mono8", "mono16")
MASK_SIZES = ("source", "model")
MAX_SHRINK = 16


@dataclass(frozen=True)
class PipelineOptions:
    """How frames become masks.

    Attributes:
        mask_encoding: "auto" is mono8, and mono16 above 255 classes; "mono16" forces 16 bits.
        mask_size: "source": the mask has the image's size; "model": the size of the network's input.
        shrink: the network gets the image averaged over squares of this side: faster, coarser. 1 leaves the
            image as it is.
        overlay_alpha: 0 shows only the image in an overlay, 1 only the colors.
    """

    mask_encoding: str = "auto"
    mask_size: str = "source"
    shrink: int = 1
    overlay_alpha: float = 0.5

    def __post_init__(self) -> None:
        if self.mask_encoding not in MASK_ENCODINGS:
            raise UsageError(
                f"mask_encoding is {self.mask_encoding!r}, expected {' or '.join(MASK_ENCODINGS)}"
            )
        if self.mask_size not in MASK_SIZES:
            raise UsageError(f"mask_size is {self.mask_size!r}, expected {' or '.join(MASK_SIZES)}")
        if not 1 <= self.shrink <= MAX_SHRINK:
            raise UsageError(f"shrink is {self.shrink}, expected a whole number from 1 to {MAX_SHRINK}")
        if not 0 <= self.overlay_alpha <= 1:
            raise UsageError(f"overlay_alpha is {self.overlay_alpha}, expected 0 to 1")


@dataclass(frozen=True)
class StageTimes:
    """Milliseconds per stage: message to array, the network, arrays to messages."""

    decode: float
    network: float
    encode: float

    @property
    def total(self) -> float:
        """The sum of the stages."""
        return self.decode + self.network + self.encode


@dataclass(frozen=True, eq=False)
class SegmentedFrame:
    """The result for one image message. Every message carries the header of the image, bit for bit.

    Attributes:
        mask: mono8 or mono16: the class id of each pixel, 255 or 65535 where unlabeled. `step` is the
            length of a row.
        confidence: mono8, 0 to 255; None if not wanted, or the model does not compute it.
        overlay: rgb8, of the mask's size; None if not wanted.
        counts: pixels of each class in order of ids; unlabeled pixels last.
        timings: milliseconds per stage.
        segmentation: labels and confidence at the size of the network's input.
    """

    mask: Image
    confidence: Image | None
    overlay: Image | None
    counts: tuple[int, ...]
    timings: StageTimes
    segmentation: Segmentation


@dataclass(frozen=True, eq=False)
class ReadFrame:
    """The pixels of a message.

    Attributes:
        header: of the message.
        frame: its pixels.
        seen: those that the network gets.
        milliseconds: that it took to decode them.
    """

    header: Header
    frame: np.ndarray
    seen: np.ndarray
    milliseconds: float


class Pipeline:
    """Segments image messages. Holds no state between frames; safe to call from many threads at once.

    Args:
        segmenter: the open model.
        options: how frames become masks.

    Raises:
        ModelError: a class has no name, or two share one: consumers identify classes by name.
        UsageError: mono8 was requested, and the model has more classes than fit.
    """

    def __init__(self, segmenter: Segmenter, options: PipelineOptions | None = None) -> None:
        self.segmenter = segmenter
        self.options = options or PipelineOptions()
        card = segmenter.card
        _check_names(card)
        wide = card.label_dtype == "uint16"
        if self.options.mask_encoding == "mono8" and wide:
            raise UsageError(
                f"the model has {len(card.classes)} classes, which do not fit into mono8: "
                "use mask_encoding auto or mono16"
            )
        self.mask_encoding = "mono16" if wide or self.options.mask_encoding == "mono16" else "mono8"
        self._class_map = tuple(VisionClass(c.id, c.name) for c in card.classes)

    @property
    def has_confidence(self) -> bool:
        """Whether the segmenter computes confidence."""
        return "confidence" in self.segmenter.outputs

    def label_info(self, header: Header | None = None) -> LabelInfo:
        """Ids and names of the classes, without the unlabeled value."""
        return LabelInfo(header or Header(), self._class_map)

    def __call__(
        self, message: Image | CompressedImage, *, confidence: bool = False, overlay: bool = False
    ) -> SegmentedFrame:
        """Segment one message.

        Args:
            message: the image.
            confidence: also make the confidence message, if the model has it.
            overlay: also make the overlay.

        Raises:
            InputError: the image cannot be segmented as it is. The pipeline stays usable.
            ModelError, ProviderError: as `Segmenter`.
        """
        return self.messages(self.segment(self.read(message)), confidence=confidence, overlay=overlay)

    def read(self, message: Image | CompressedImage) -> ReadFrame:
        """The first step of a call: the pixels of a message. It raises InputError."""
        start = time.perf_counter()
        frame = read_frame(message, self.segmenter.card.input, self.segmenter.max_pixels)
        seen = shrunk(frame, self.options.shrink)
        return ReadFrame(message.header, frame, seen, (time.perf_counter() - start) * 1000)

    def segment(self, read: ReadFrame) -> tuple[ReadFrame, Segmentation, float]:
        """The second step: the network, with its milliseconds. It raises what `Segmenter` raises."""
        start = time.perf_counter()
        result = self.segmenter(read.seen)
        return read, result, (time.perf_counter() - start) * 1000

    def messages(
        self, segmented: tuple[ReadFrame, Segmentation, float], *, confidence: bool, overlay: bool
    ) -> SegmentedFrame:
        """The last step: the messages of a frame."""
        start = time.perf_counter()
        read, result, network = segmented
        picture = read.frame if self.options.mask_size == "source" else read.seen
        size = picture.shape[:2]
        mask = self._mask(read.header, self._sized(result.labels, size))
        sure = self._confidence(read.header, result, size) if confidence else None
        shown = self._overlay(read.header, result, picture, size) if overlay else None
        timings = StageTimes(read.milliseconds, network, (time.perf_counter() - start) * 1000)
        return SegmentedFrame(mask, sure, shown, _counts(result), timings, result)

    def _sized(self, plane: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        return plane if plane.shape[:2] == size else grown(plane, self.options.shrink, size)

    def _mask(self, header: Header, labels: np.ndarray) -> Image:
        if self.mask_encoding == "mono16" and labels.dtype == np.uint8:
            wide = labels.astype(np.uint16)
            wide[labels == 255] = 65535  # unlabeled has another value in 16 bits
            labels = wide
        return image_message(header, labels, self.mask_encoding)

    def _confidence(self, header: Header, result: Segmentation, size: tuple[int, ...]) -> Image | None:
        if result.confidence is None:
            return None
        gray = np.rint(result.confidence * 255).astype(np.uint8)
        return image_message(header, self._sized(gray, size), "mono8")

    def _overlay(
        self, header: Header, result: Segmentation, picture: np.ndarray, size: tuple[int, ...]
    ) -> Image:
        labels = self._sized(result.labels, size)
        sized = Segmentation(labels, result.card, result.provider, result.milliseconds)
        shown = sized.overlay(as_picture(picture, result.card.input), self.options.overlay_alpha)
        return image_message(header, shown, "rgb8")


def _counts(result: Segmentation) -> tuple[int, ...]:
    card = result.card
    counts = np.bincount(result.labels.ravel(), minlength=card.unlabeled + 1)
    return (*(int(counts[c.id]) for c in card.classes), int(counts[card.unlabeled]))


def _check_names(card: Card) -> None:
    names: dict[str, int] = {}
    for entry in card.classes:
        if not entry.name.strip():
            raise ModelError(
                f"the model's class {entry.id} has no name, expected one: robots identify classes by name; "
                "export again with --classes"
            )
        if entry.name in names:
            raise ModelError(
                f"the model's classes {names[entry.name]} and {entry.id} are both named {entry.name!r}, "
                "expected different names: export again with --classes"
            )
        names[entry.name] = entry.id
