"""What a consumer wants of a file, as data: one `Target` for each, and the facts of a variant made for it.

takes   "pixels"        the image as it is, [batch, height, width, channels] in the card's dtype
        "unit"          whole pixels / 255, [batch, channels, height, width] float32
        "normalized"    x of the card's formula, [batch, channels, height, width] float32
gives   "outputs"       those of the parent
        "class map"     [batch, height, width, 1] int32
        "probabilities" [batch, classes, height, width] float32; a binary network has two planes, too
        "logits"        [batch, logits, height, width] float32
            "class logits"  the same with a plane for each class: of a binary network 0 and its logit
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.golden_vectors import MAX_SIDE
from fcn_edge_runtime.session.session import MAX_FIXED_PIXELS

__all__ = ["Facts", "Target", "no_metadata"]


@dataclass(frozen=True)
class Facts:
    """A variant that is being made.

    Attributes:
        card: of the parent.
        parent_sha256: digest of the parent.
        size: (height, width) of every image; None is any.
        logits: that the network gives: one for each class, or one for both of a binary network.
    """

    card: Card
    parent_sha256: str
    size: tuple[int, int] | None
    logits: int


def no_metadata(_: Facts) -> dict[str, str]:
    """For consumers that read none."""
    return {}


@dataclass(frozen=True)
class Target:
    """A consumer.

    Attributes:
        name: as a user types it.
        about: what it is for, in a few words.
        takes: see the module.
        gives: see the module.
        duties: what the consumer must do itself, a line each.
        metadata: entries of the file by the consumer's convention.
        input: name of the input.
        output: name of the output; those of the parent keep theirs.
        sized: the size of images is fixed in the file.
        square: that size must be a square.
        size: if none is given; None asks for one.
        batch: images at once that a sized file takes; None is any.
        most_classes: that its label maps can hold; None is any.
        channels: of images that it can give; empty is any.
        dtypes: of pixels that it can give.
        ending: of the file.
        packed: the file's bytes of those of the model; None is the model itself.
    """

    name: str
    about: str
    takes: str
    gives: str
    duties: Callable[[Facts], tuple[str, ...]]
    metadata: Callable[[Facts], Mapping[str, str]] = no_metadata
    input: str = "input"
    output: str = "output"
    sized: bool = False
    square: bool = False
    size: tuple[int, int] | None = None
    batch: int | None = 1
    most_classes: int | None = None
    channels: tuple[int, ...] = ()
    dtypes: tuple[str, ...] = ("uint8",)
    ending: str = ".onnx"
    packed: Callable[[bytes, Facts], bytes] | None = field(default=None, repr=False)

    def pixels_in(self, card: Card) -> str:
        """What the numbers of the input are."""
        return {"pixels": "pixels as they are", "unit": "pixels / 255"}.get(self.takes, card.input.formula)

    def sized_for(self, wanted: tuple[int, int] | None, card: Card) -> tuple[int, int] | None:
        """The size of the variant's images.

        Args:
            wanted: (height, width) that the user gave.
            card: of the parent.

        Raises:
            UsageError: it needs one and there is none, it takes none, or the network cannot take it.
        """
        if not self.sized:
            if wanted is not None:
                raise UsageError(f"{self.name} takes images of any size: leave {size_text(wanted)} out")
            return None
        own = card.working_size.size if card.working_size is not None else None
        size = wanted or own or self.size
        if size is None:
            raise UsageError(
                f"{self.name} needs a size, and this network has none of its own: give --for "
                f"{self.name}:HxW, such as {self.name}:480x640"
            )
        if self.square and size[0] != size[1]:
            raise UsageError(f"{self.name} takes squares, got {size_text(size)}: give --for {self.name}:SxS")
        if max(size) > MAX_SIDE or size[0] * size[1] > MAX_FIXED_PIXELS:
            raise UsageError(
                f"got {size_text(size)}, expected at most 2160x3840 pixels and sides of {MAX_SIDE}"
            )
        smallest, largest = card.geometry.smallest_size, card.geometry.largest_size
        if min(size) < smallest:
            raise UsageError(f"got {size_text(size)}, expected sides of at least {smallest}: the network's")
        if largest is not None and (size[0] > largest[0] or size[1] > largest[1]):
            raise UsageError(f"got {size_text(size)}, expected at most {size_text(largest)}: the network's")
        return size

    def check(self, card: Card) -> None:
        """Raise UsageError where this consumer cannot express what the parent gives or takes."""
        classes, kind = len(card.classes), card.input
        if self.most_classes is not None and classes > self.most_classes:
            raise UsageError(
                f"{self.name} holds at most {self.most_classes} classes, this model has {classes}: "
                "use the model itself, or the target logits"
            )
        if self.channels and kind.channels not in self.channels:
            expected = " or ".join(map(str, self.channels))
            raise UsageError(
                f"{self.name} gives images of {expected} channels, this model takes {kind.channels}"
            )
        if self.dtypes and kind.dtype not in self.dtypes:
            expected = " or ".join(self.dtypes)
            raise UsageError(f"{self.name} gives {expected} pixels, this model takes {kind.dtype}")
        if self.takes == "normalized" and card.working_size is not None:
            raise UsageError(
                f"{self.name} is the plain network, but this file resizes images before its network (working "
                f"size {card.working_size}): export it without --working-size, or choose another target"
            )
