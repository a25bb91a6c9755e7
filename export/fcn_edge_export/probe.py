"""A network run at some sizes: which of its outputs holds the logits, and which sizes it accepts."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fcn_edge_export.outputs import choose_output, pick_output
from fcn_edge_export.sizes import (
    ENLARGEMENTS,
    PATCH,
    STARTS,
    OneSizeError,
    Sizes,
    find_cropped_sizes,
    find_sizes,
    reduction_of,
)
from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.model.card_facts import MAX_WORKING_SIDE

__all__ = ["Question", "probe"]

MOST_VALUES = 1 << 28  # in one tensor, of an image of at most 1024 x 1024
TINY = 33  # sides below which a network may give NaN, as PyTorch does
PATCHES = 16 * PATCH  # a side of whole ones, and of many powers of two
PATIENCE = 8.0  # seconds of processor time for finding a size that is accepted
SQUARES = (
    128,
    160,
    192,
    256,
    288,
    320,
    336,
    392,
    416,
    448,
    473,
    480,
    513,
    518,
    560,
    576,
    608,
    713,
    768,
    1024,
)
LANDSCAPES = ((240, 320), (480, 640), (360, 640), (360, 480), (512, 1024), (384, 1280), (720, 1280))


@dataclass(frozen=True)
class Question:
    """What is asked of a network besides its sizes.

    Attributes:
        output: which of its outputs to take, see `outputs.choose_output`.
        classes: how many the card names; None if that is open.
        multiple: use it at multiples of this alone; None finds the smallest.
        smallest: height and width at least.
        labels: take its labels for scores, see `outputs`.
        border: "none", or what becomes of the border where it returns fewer pixels than its image has, as
            on the card.
    """

    output: str | None = None
    classes: int | None = None
    multiple: int | None = None
    smallest: int = 1
    labels: bool = False
    border: str = "none"


def probe(
    net: nn.Module,
    channels: int,
    asked: Question | None = None,
    *,
    working: tuple[int, int] | None = None,
    auto: bool = False,
) -> Sizes:
    """Find the sizes that `net` (in evaluation mode, float32, on the CPU) accepts.

    Args:
        net: the network.
        channels: of the image.
        asked: what else is to be found or is known; None is nothing.
        working: (height, width) that it is used at, if it does not accept others; None is none.
        auto: take the only size that it accepts, if there is only one.

    Raises:
        UsageError: it returns several maps, and nothing says which holds the logits; or labels.
        OneSizeError: it accepts one size, or square images alone.
        ArtifactError: it accepts none of the sizes tried, or its logits do not cover its input.
    """
    probed = _Probe(net, channels, asked or Question())
    try:
        return probed.any_size()
    except ArtifactError as error:
        if auto and isinstance(error, OneSizeError) and not error.square:
            working = error.size
        if working is None:
            raise
        return probed.at(working)


@dataclass(frozen=True)
class _Probe:
    net: nn.Module
    channels: int
    asked: Question

    def any_size(self) -> Sizes:
        start, name, first = self._first_size()
        finite = bool(first.isfinite().all())

        def shape_at(height: int, width: int) -> tuple[int, ...] | None:
            run = _run(self.net, self.channels, height, width)
            if run.error:
                return None
            try:
                scores = self._scores(run.output, name)
            except ArtifactError:  # no logits at this size
                return None
            if finite and min(height, width) < TINY and not scores.isfinite().all():
                return None  # such as a standard deviation of one pixel
            return _reduced(tuple(scores.shape), enlargement)

        enlargement = next((k for k in ENLARGEMENTS if tuple(first.shape[2:]) == (k * start, k * start)), 1)
        shape = _reduced(tuple(first.shape), enlargement)
        if self.asked.border != "none":
            return find_cropped_sizes(shape_at, start, shape, name, labeled=self.asked.border != "unlabeled")
        try:
            found = self._sizes(shape_at, start, shape, name)
        except OneSizeError as error:
            # Of the square sizes that it takes it was made for one, which it may tell.
            told = next((size for size in _told_sizes(self.net) if shape_at(*size) is not None), None)
            raise OneSizeError(told, square=True) if error.square and told is not None else error from None
        wanted = -(-self.asked.smallest // found.multiple) * found.multiple
        return replace(found, smallest=max(found.smallest, wanted), enlargement=enlargement)

    def _sizes(
        self,
        shape_at: Callable[[int, int], tuple[int, ...] | None],
        start: int,
        shape: tuple[int, ...],
        name: str,
    ) -> Sizes:
        """As `find_sizes`; from a size of whole patches where a network leaves out what is less than one."""
        try:
            return find_sizes(shape_at, start, shape, name, self.asked.multiple)
        except OneSizeError as error:
            whole = shape_at(PATCHES, PATCHES) if start % PATCH else None
            if whole is None:
                raise
            try:
                return find_sizes(shape_at, PATCHES, whole, name, self.asked.multiple)
            except ArtifactError:
                raise error from None

    def at(self, size: tuple[int, int]) -> Sizes:
        """The output at the only size that it is used at."""
        run = _run(self.net, self.channels, *size)
        if run.error:
            raise ArtifactError(
                f"probe: the network accepts no image of its working size {size[0]}x{size[1]}: {run.error}"
            )
        name = self._chosen(run.output, size)
        shape = tuple(self._scores(run.output, name).shape)
        return Sizes(shape[1], min(size), 1, reduction_of(*size, shape), name, size)

    def _chosen(self, output: Any, size: tuple[int, int]) -> str:
        asked = self.asked
        return choose_output(output, asked.output, asked.classes, size=size, labels=asked.labels)

    def _scores(self, output: Any, name: str) -> Tensor:
        return pick_output(output, name, self.asked.classes if self.asked.labels else None)

    def _first_size(self) -> tuple[int, str, Tensor]:
        """The first side that the network accepts, the name of the logits in its output, and the logits."""
        errors: dict[tuple[int, int], str] = {}
        end = time.process_time() + PATIENCE
        short: list[tuple[int, str, Tensor]] = []  # where the logits do not cover the image
        for height, width in (*((side, side) for side in STARTS), *_further_sizes(self.net)):
            run = _run(self.net, self.channels, height, width)
            if not run.error and height != width:
                raise OneSizeError((height, width))
            if not run.error:
                name = self._chosen(run.output, (height, width))
                found = height, name, self._scores(run.output, name)
                if self.asked.border != "none" or _covers(found[2], height):
                    return found
                short.append(found)
            errors.setdefault((height, width), run.error)
            # A border as wide at each size is that of a network without padding; others count patches.
            is_border = len({side - scores.shape[2] for side, _, scores in short}) < len(short)
            if is_border or time.process_time() > end:
                break
        if short:
            return short[0]
        made_for = next((size for size in _told_sizes(self.net) if size in errors), (STARTS[0], STARTS[0]))
        error = errors[made_for]
        raise ArtifactError(
            f"probe: the network accepted no {self.channels}-channel image of "
            f"{', '.join(map(str, STARTS))} pixels a side, nor of other common sizes; the error at "
            f"{size_text(dict.fromkeys(made_for))} was: {error}; "
            + (
                "if it takes several images: --inputs rgb:3,depth:1"
                if "required positional argument" in error
                else "if it takes images of one size alone, name that size: --working-size HEIGHTxWIDTH"
            )
        )


def _covers(scores: Tensor, side: int) -> bool:
    """Whether logits have a whole multiple or fraction of the sides of an image of side x side."""
    if any(tuple(scores.shape[2:]) == (k * side, k * side) for k in ENLARGEMENTS):
        return True
    try:
        return reduction_of(side, side, tuple(scores.shape)) > 0
    except ArtifactError:
        return False


def _reduced(shape: tuple[int, ...], by: int) -> tuple[int, ...]:
    """A map of whole multiples as one of the image's size; another as it is."""
    sides = shape[2:]
    return shape if any(side % by for side in sides) else (*shape[:2], *(side // by for side in sides))


@dataclass(frozen=True)
class _Run:
    """What the network returned for an image of one size, or its error."""

    output: Any
    error: str = ""


class _Bounded(TorchFunctionMode):
    """Stops a network that doubles its map until it has the image's size, and never hits it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        result: Any = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.numel() > MOST_VALUES:
            raise MemoryError(f"a map inside of it has the shape {list(result.shape)}")
        return result


def _run(net: nn.Module, channels: int, height: int, width: int) -> _Run:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, height, width, generator=generator)
    try:
        with torch.inference_mode(), _Bounded(), contextlib.redirect_stdout(io.StringIO()):
            return _Run(net(x))
    except Exception as error:  # noqa: BLE001 (a network may raise anything at a size it does not accept)
        return _Run(None, f"{type(error).__name__}: {error}")


def _further_sizes(net: nn.Module) -> Iterator[tuple[int, int]]:
    """Sizes to try where no common one is accepted: what the network says, sides k n + r, one size alone."""
    yield from _told_sizes(net)
    yield from ((side, side) for side in (97, 64, *SQUARES))
    yield from LANDSCAPES
    yield from ((side, side) for side in range(98, 161))


def _told_sizes(net: nn.Module) -> Iterator[tuple[int, int]]:
    """Sizes of images that the network says it was made for."""
    for module in net.modules():
        config = getattr(module, "config", None)
        for owner in (module, config):
            for name in ("img_size", "image_size", "input_size"):
                yield from _size_in(getattr(owner, name, None))


def _size_in(value: Any) -> Iterator[tuple[int, int]]:
    pair = (value, value) if isinstance(value, int) else value
    if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not all(isinstance(n, int) for n in pair):
        return
    if 1 <= min(pair) <= max(pair) <= MAX_WORKING_SIDE:
        yield pair[0], pair[1]
