"""The sizes that a network accepts, from running it at some: they are not declared anywhere.

A size is accepted if the network runs and its logits cover the input: they have the same height and width, or
are smaller by a factor that is the same at every size: a whole one, or that of patches of 14 pixels with 2, 4
or 8 logits a side. A size at which the network fails or returns fewer pixels is not accepted; the file pads
such sizes up to the network's multiple, or to its k n + r.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.errors import ArtifactError

__all__ = [
    "ENLARGEMENTS",
    "PATCH",
    "STARTS",
    "OneSizeError",
    "Sizes",
    "find_cropped_sizes",
    "find_sizes",
    "reduction_of",
]

# Their divisors include every power of two up to 128, and the multiples 3, 7 and 14 of patch-based backbones.
# The small ones come first because most networks accept them and they are fast.
STARTS = (96, 224, 384, 512, 640, 896)
# Multiples beyond the start at which a step is tried. A network that rounds its map down to a coarser grid,
# such as H // 16 * 4, has the right size just above a multiple of it, and a wrong one just below the next.
STEPS = ((1, 3), (7, 5), (15, 11), (27, 31))
FEW_STEPS = ((1, 3), (2, 1))  # of steps so large that the others are beyond `LARGEST_SIDE`
LARGEST_SIDE = 1700
ENLARGEMENTS = (2, 3, 4)
LARGEST_STEP = 64  # of sizes k n + r
PATCH = 14  # pixels of a vision transformer, if they are no power of two


@dataclass(frozen=True)
class Sizes:
    """The input sizes and the output of a probed network.

    Attributes:
        classes: channels of its logits.
        smallest: the smallest height and width it accepts, a multiple of `multiple`.
        multiple: heights and widths it accepts are multiples of this.
        reduction: its logits have 1/reduction of the input's height and width (1: full size).
        output: which of its outputs holds the logits; empty where there is only one.
        fixed: the only (height, width) it is used at; None is any.
        grid: (n, r) of a network whose sides are k n + r; its images are padded by `LogitsNetwork`, so its
            multiple is 1.
        crop: how many rows and columns fewer than its image its logits have.
        enlargement: its logits have so many times the input's height and width; they are averaged down.
    """

    classes: int
    smallest: int
    multiple: int
    reduction: int | Fraction
    output: str = ""
    fixed: tuple[int, int] | None = None
    grid: tuple[int, int] | None = None
    crop: int = 0
    enlargement: int = 1

    @property
    def smallest_image(self) -> int:
        """The smallest side of an image that is `smallest` once it is padded up to the multiple."""
        return self.smallest - self.multiple + 1


class OneSizeError(ArtifactError):
    """A network takes images of one size alone, or square ones.

    Attributes:
        size: (height, width) that it takes.
        square: whether it takes square images of other sizes, too.
    """

    def __init__(self, size: tuple[int, int], *, square: bool = False) -> None:
        text = size_text(size)
        super().__init__(
            f"probe: the network accepts {'square images' if square else f'images of {text}'} alone: add "
            f"--working-size {text}{', or the size that it was trained at' if square else ''}, to which the "
            "file then resizes each image"
        )
        self.size = size
        self.square = square


def find_sizes(
    shape_at: Callable[[int, int], tuple[int, ...] | None],
    start: int,
    first: tuple[int, ...],
    output: str = "",
    multiple: int | None = None,
) -> Sizes:
    """Find the sizes that a network accepts.

    Args:
        shape_at: height, width -> the shape of the logits [batch, classes, height, width]; None where the
            network fails.
        start: a side at which it works.
        first: the shape of the logits of start x start pixels.
        output: see `Sizes`.
        multiple: use it at multiples of this alone; None finds the smallest.

    Raises:
        OneSizeError: it accepts one size alone, or square images.
        ArtifactError: its logits do not cover its input.
    """
    reduction = reduction_of(start, start, first)

    def accepts(height: int, width: int) -> bool:
        shape = shape_at(height, width)
        return shape is not None and shape[1] == first[1] and _covers(height, width, shape, reduction)

    def steady(step: int) -> bool:
        return all(accepts(start + step * h, start + step * w) for h, w in _steps(start, step))

    # start + m is accepted exactly if m is a multiple of the network's own step, which mostly divides start.
    divisors = [d for d in range(1, start + 1) if start % d == 0]
    asked = multiple is not None
    if multiple is None:
        others = [d for d in range(2, LARGEST_STEP + 1) if start % d]
        multiple = next((d for d in (*divisors, *others) if steady(d)), None)
    if multiple is None:
        raise OneSizeError((start, start), square=accepts(2 * start, 2 * start))
    if start % multiple and asked:
        start += -start % multiple
    elif start % multiple:
        return _on_a_grid(accepts, first[1], multiple, start, reduction, output)
    return Sizes(first[1], _smallest(accepts, multiple, start), multiple, reduction, output)


def find_cropped_sizes(
    shape_at: Callable[[int, int], tuple[int, ...] | None],
    start: int,
    first: tuple[int, ...],
    output: str = "",
    *,
    labeled: bool = True,
) -> Sizes:
    """The same for a network whose convolutions do not pad: its logits lack the same border at every size.

    Of the sizes on its grid those are taken where the border is thinnest: at others a pooling has left out a
    row at the bottom, so that the border would not be as wide on both sides.

    Args:
        shape_at: see `find_sizes`, as the following.
        start: see there.
        first: see there.
        output: see `Sizes`.
        labeled: whether the border is labeled, too.

    Raises:
        ArtifactError: its logits do not lack the same border at sizes of any grid.
    """
    borders = {start: start - first[2]}
    for side in range(start + 1, start + LARGEST_STEP):
        if (shape := shape_at(side, side)) is not None and shape[2] == shape[3]:
            borders[side] = side - shape[2]
    side = min(borders, key=lambda side: borders[side])
    crop = borders[side]

    def accepts(height: int, width: int) -> bool:
        shape = shape_at(height, width)
        return shape is not None and shape[1:] == (first[1], height - crop, width - crop)

    step = next(
        (
            d
            for d in range(1, LARGEST_STEP + 1)
            if accepts(side, side) and all(accepts(side + d * h, side + d * w) for h, w in STEPS)
        ),
        None,
    )
    if step is None or crop < 1:
        raise ArtifactError(
            f"probe: the network gave logits of {first[2]}x{first[3]} for an image of {start}x{start}, "
            "expected a border that is as wide at every size: leave out --border"
        )
    # To reflect a border takes more pixels than it is wide; around one that is not labeled a third of each
    # side is left, so that the self-test sees something.
    smallest = crop - crop // 2 + step if labeled else crop + max(step, crop // 2)
    return Sizes(first[1], smallest, 1, 1, output, grid=(step, side % step), crop=crop)


def _steps(start: int, step: int) -> Sequence[tuple[int, int]]:
    near = [steps for steps in STEPS if start + step * max(steps) <= LARGEST_SIDE]
    return near if len(near) > 1 else FEW_STEPS


def _on_a_grid(
    accepts: Callable[[int, int], bool],
    classes: int,
    step: int,
    start: int,
    reduction: int | Fraction,
    output: str,
) -> Sizes:
    rest = start % step
    least = next(side for side in range(rest, start + 1, step) if side and accepts(side, side))
    return Sizes(classes, max(1, least - step + 1), 1, reduction, output, grid=(step, rest))


def reduction_of(height: int, width: int, shape: tuple[int, ...]) -> int | Fraction:
    """By which factor logits of `shape` are smaller than an image of height x width.

    Raises:
        ArtifactError: there is none.
    """
    # 3 pixels of 96 are a reduction of 32, although 25 would round to 3, too: exact factors come first.
    for reduction in sorted(range(1, 65), key=lambda factor: height % factor > 0 or width % factor > 0):
        if _covers(height, width, shape, reduction):
            return reduction
    ratio = Fraction(height, shape[-2] or 1)
    if ratio in (Fraction(PATCH, 4), Fraction(PATCH, 8)) and ratio == Fraction(width, shape[-1] or 1):
        return ratio
    raise ArtifactError(
        f"probe: the network gave logits of {shape[-2]}x{shape[-1]} for an image of {height}x{width}, "
        "expected the same height and width, or a whole factor fewer; if its convolutions do not pad, give "
        "what is beyond the border, --border reflect or --border edge, or leave it out: --border unlabeled"
    )


def _covers(height: int, width: int, shape: tuple[int, ...], reduction: int | Fraction) -> bool:
    """Full-size logits must fit exactly; the size of reduced ones may be rounded up or down."""
    if reduction == 1:
        return shape[-2:] == (height, width)
    return all(
        got in (size // reduction, -(-size // reduction))
        for got, size in zip(shape[-2:], (height, width), strict=True)
    )


def _smallest(accepts: Callable[[int, int], bool], multiple: int, start: int) -> int:
    """The smallest multiple that is accepted: doubling, then bisection."""
    if accepts(multiple, multiple):
        return multiple
    low, high = 1, 2  # in units of the multiple; low is refused
    while high * multiple < start and not accepts(high * multiple, high * multiple):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if accepts(middle * multiple, middle * multiple) else (middle, high)
    return high * multiple
