"""Running a given file shows which of its tensors holds the logits, in which axes, and which sizes it takes.

A file may declare any size and take one: a size is written into its operators. Its outputs and operators tell
which; the file is then used at that size, as one that declares it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper

from fcn_edge_export.adoption.file import OnnxFile
from fcn_edge_export.adoption.outputs import Taken, candidates, decides_alike
from fcn_edge_export.adoption.reference import GivenFile
from fcn_edge_export.brevity import brief, listed
from fcn_edge_export.options import AdoptOptions, wanted_working_size
from fcn_edge_export.sizes import ENLARGEMENTS, STARTS, OneSizeError, Sizes, find_sizes, reduction_of
from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.errors import ArtifactError, FcnEdgeError, InputError, UsageError
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.golden_vectors import MAX_SIDE
from fcn_edge_runtime.session.session import Session, SessionOptions, open_session

__all__ = ["Found", "probe", "session_of"]

Array = npt.NDArray[Any]
KNOWN = ("logits", "out", "output")  # names that exporters give to the logits
_FEW = 6  # further sizes that are tried
_UNCOVERED = 3  # sizes at which it runs, and its outputs do not cover the image
_LEAST = 8  # side of an image
_SAME_LEVEL = 1e-6  # thresholds that are alike


@dataclass(frozen=True)
class Found:
    """What running a given file showed: which tensor holds the logits, and at which sizes it works.

    Attributes:
        file: the file, with the size that it is bound to.
        taken: the tensor of the logits.
        given: the file as a function.
        sizes: that it takes.
    """

    file: OnnxFile
    taken: Taken
    given: GivenFile
    sizes: Sizes


def probe(file: OnnxFile, card: Card, options: AdoptOptions) -> Found:
    """Run a file.

    Args:
        file: as it was read.
        card: its input, and the number of its classes where it has some.
        options: what the user said of its output, its activation and its size.

    Raises:
        InputError: its logits depend on more than its image.
        UsageError: nothing says which output holds the logits, or it is none.
        ArtifactError: it does not run, or none of its outputs covers its image.
    """
    return _Probe(file, card, options).found()


def session_of(file: OnnxFile, tensors: Sequence[str]) -> Session:
    """A session without optimization that gives some tensors of a file.

    Raises:
        InputError: onnxruntime does not take it.
    """
    data = file.part(tensors).SerializeToString()
    try:
        return open_session(data, "cpu", options=SessionOptions(optimization="none"))
    except FcnEdgeError as error:
        raise InputError(f"{file.path} is not a model that onnxruntime runs: {brief(error)}") from None


@dataclass(frozen=True)
class _Probe:
    file: OnnxFile
    card: Card
    options: AdoptOptions

    def found(self) -> Found:
        tensors = _of_the_image(
            self.file, candidates(self.file.path, self.file.model, self.options.output_name)
        )
        session = session_of(self.file, [taken.tensor for taken in tensors])
        if self.file.size is not None:
            return self._at(session, tensors, self.file.size)
        asked = wanted_working_size(self.options)
        told = asked.size if asked is not None else None
        if None not in self.file.declared or self.file.declared == (None, None):
            try:
                return self._at_any_size(session, tensors)
            except OneSizeError as error:
                told = told or (None if error.square else error.size)
                if told is None:
                    raise
        elif told is None or any(
            d not in (None, side) for d, side in zip(self.file.declared, told, strict=True)
        ):
            height, width = ("any" if side is None else side for side in self.file.declared)
            side = next(side for side in self.file.declared if side is not None)
            raise UsageError(
                f"{self.file.path} takes images of {height} x {width} pixels: give the one size at which it "
                f"works with --working-size HxW, such as {side}x{side}"
            )
        return self._at(session, tensors, told)

    def _at(self, session: Session, tensors: list[Taken], size: tuple[int, int]) -> Found:
        """As a file of one image size."""
        file = replace(self.file, size=size)
        values = self._run(session, tensors, size)
        if isinstance(values, str):
            raise ArtifactError(f"probe: the given file does not run at {size_text(size)}: {values}")
        taken, given, first = self._chosen(session, values, size)
        return Found(file, taken, self._batched(given, size), replace(_covering(first, size), fixed=size))

    def _at_any_size(self, session: Session, tensors: list[Taken]) -> Found:
        failure, uncovered = "", list[tuple[tuple[int, int], dict[Taken, Array]]]()
        sizes = self._sizes()
        while (size := next(sizes, None)) is not None and len(uncovered) < _UNCOVERED:
            values = self._run(session, tensors, size)
            if isinstance(values, str):
                failure = failure or values
                continue
            if any(self._axes(taken, values, size) for taken in values):
                if size[0] != size[1]:
                    raise OneSizeError(size)
                return self._grown(session, values, size)
            uncovered.append((size, values))
            own = [(h, w) for *_, h, w in (v.shape for v in values.values() if v.ndim == 4)]
            sizes = chain((s for s in own if _LEAST <= min(s) <= max(s) <= MAX_SIDE), sizes)
        if uncovered:
            self._chosen(session, *uncovered[0][::-1])
        raise ArtifactError(
            f"probe: the given file does not run at {size_text((STARTS[0],) * 2)} to "
            f"{size_text((STARTS[-1],) * 2)}: {failure}. If it takes one size alone, give it with "
            "--working-size HxW"
        )

    def _grown(self, session: Session, values: dict[Taken, Array], size: tuple[int, int]) -> Found:
        taken, given, first = self._chosen(session, values, size)
        covering = _covering(first, size)

        def shape_at(height: int, width: int) -> tuple[int, ...] | None:
            try:
                batch, classes, *sides = given(self._noise_planes(height, width)).shape
            except ArtifactError:
                return None
            grown = covering.enlargement
            if any(side % grown for side in sides):
                return None
            return (batch, classes, *(side // grown for side in sides))

        reduced = (*first[:2], *(side // covering.enlargement for side in first[2:]))
        try:
            sizes = find_sizes(shape_at, size[0], reduced, multiple=self.options.size_multiple)
        except OneSizeError:
            if covering.enlargement > 1:  # it gives one size, whatever it is given
                raise OneSizeError((first[2], first[3])) from None
            raise
        return Found(
            self.file, taken, self._batched(given, size), replace(sizes, enlargement=covering.enlargement)
        )

    def _batched(self, given: GivenFile, size: tuple[int, int]) -> GivenFile:
        """The same, for one image at once where it fails with two."""
        try:
            given(np.repeat(self._noise_planes(*size), 2, 0))
        except ArtifactError:
            return replace(given, batch=1)
        return given

    @property
    def _batch(self) -> int:
        return self.file.batch or 1

    def _sizes(self) -> Iterator[tuple[int, int]]:
        """Sides that networks mostly take, and those that are written into the file."""
        graph = self.file.model.graph
        yield from ((side, side) for side in STARTS)
        axes = (2, 3) if self.file.layout == "NCHW" else (1, 2)
        shapes = [[dim.dim_value for dim in output.type.tensor_type.shape.dim] for output in graph.output] + [
            numpy_helper.to_array(tensor).tolist()
            for tensor in graph.initializer
            if tensor.data_type == tensor.INT64 and list(tensor.dims) == [4]
        ]
        found = {tuple(shape[axis] for axis in axes) for shape in shapes if len(shape) == 4}
        legal = sorted((s for s in found if _LEAST <= min(s) <= max(s) <= MAX_SIDE), key=prod, reverse=True)
        yield from ((height, width) for height, width in legal[:_FEW])

    def _run(self, session: Session, tensors: list[Taken], size: tuple[int, int]) -> dict[Taken, Array] | str:
        """The values of some tensors, or why there are none."""
        try:
            values = session.raw.run([t.tensor for t in tensors], {self.file.input: self._noise(*size)})
        except Exception as error:  # noqa: BLE001 (onnxruntime's errors derive from Exception alone)
            return brief(error)
        return {t: v for t, v in zip(tensors, values, strict=True) if isinstance(v, np.ndarray)}

    def _chosen(
        self, session: Session, values: dict[Taken, Array], size: tuple[int, int]
    ) -> tuple[Taken, GivenFile, tuple[int, ...]]:
        """The tensor of the logits, the file as a function, and the shape of its logits in order."""
        maps = {t: axes for t, v in values.items() if (axes := self._axes(t, values, size)) is not None}
        outputs = dict.fromkeys(taken.output for taken in maps)
        nearest = [next(t for t in maps if t.output == name) for name in outputs]
        taken = self._one_of({t: maps[t] for t in nearest}, values, size)
        if taken.decides:
            taken = self._alike([t for t in maps if t.output == taken.output], maps, values, size)
        given = GivenFile(
            session,
            self.file.input,
            taken.tensor,
            self.file.dtype,
            (0, 1, 2, 3) if self.file.layout == "NCHW" else (0, 2, 3, 1),
            maps[taken],
            self.file.batch,
            (self.options.activation or "none") if taken.activation == "none" else "none",
        )
        return taken, given, _in_order(values[taken], maps[taken]).shape

    def _alike(
        self,
        tensors: list[Taken],
        maps: dict[Taken, tuple[int, ...]],
        values: dict[Taken, Array],
        size: tuple[int, int],
    ) -> Taken:
        """The first of the tensors before an output that decides as the output does."""
        (name,) = {taken.output for taken in tensors}
        first = tensors[0]
        told = 0.5 if first.activation == "none" and self.options.activation == "sigmoid" else 0.0
        level = 0.5 if first.activation == "sigmoid" else told
        if first.threshold is not None and abs(first.threshold - level) > _SAME_LEVEL:
            raise UsageError(
                f"{self.file.path}: its output {name[:80]!r} is 1 above {first.threshold:g}, the new file "
                f"would be so above {level:g}: name the tensor of the scores with --output-name, such "
                f"as {first.tensor[:80]!r}, and give `fcn-edge run` a --threshold"
            )
        (seen,) = session_of(self.file, [name]).raw.run([name], {self.file.input: self._noise(*size)})
        for taken in tensors if first.keeps_classes else ():
            scores = _in_order(values[taken], maps[taken]) - np.float32(told)
            if isinstance(seen, np.ndarray) and decides_alike(seen, scores):
                return taken
        raise UsageError(
            f"{self.file.path}: its output {name[:80]!r} does not decide as its tensor "
            f"{tensors[0].tensor[:80]!r} does, which is before its {tensors[0].without}: name the tensor of "
            "the logits with --output-name, such as that one"
        )

    def _axes(
        self, taken: Taken, values: dict[Taken, Array], size: tuple[int, int]
    ) -> tuple[int, ...] | None:
        """As `_axes`. Before an output that is no map, a map of fewer pixels may be boxes of a detector."""
        axes = _axes(values[taken], size, self._batch)
        nearest = next(value for other, value in values.items() if other.output == taken.output)
        if axes is None or nearest.ndim == 4 or self.options.output_name is not None:
            return axes
        shape = _in_order(values[taken], axes).shape
        whole = shape[2:] == size or shape[1] == len(self.card.classes)
        return axes if whole or nearest is values[taken] else None

    def _one_of(
        self, maps: dict[Taken, tuple[int, ...]], values: dict[Taken, Array], size: tuple[int, int]
    ) -> Taken:
        named = self.options.output_name is not None
        classes = {t: values[t].shape[axes[1]] if len(axes) == 4 else 1 for t, axes in maps.items()}
        count = len(self.card.classes)
        wanted = {count} | ({1} if count == 2 else set()) if count else set()
        outputs = {taken.output: value for taken, value in reversed(values.items())}
        others = [name for name, v in outputs.items() if v.ndim > 2 and all(t.output != name for t in maps)]
        for fitting in (
            [] if others and not named else list(maps),
            [t for t in maps if t.output in KNOWN],
            [t for t in maps if classes[t] in wanted],
        ):
            if len(fitting) == 1:
                return fitting[0]
        seen = listed(
            f"{name}: {'x'.join(map(str, v.shape))} {v.dtype}" for name, v in reversed(outputs.items())
        )
        if maps:
            raise UsageError(
                f"{self.file.path} has several outputs ({seen}), and nothing says which holds the "
                "logits: name it with --output-name"
            )
        raise ArtifactError(
            f"probe: none of the given file's outputs covers its image of {size_text(size)} with scores, got "
            f"{seen or 'none'}: expected float32 [batch, classes, height, width], at its size, or a whole "
            "factor smaller or larger"
        )

    def _noise(self, height: int, width: int) -> Array:
        planes = self._noise_planes(height, width)
        images = planes if self.file.layout == "NCHW" else planes.transpose(0, 2, 3, 1)
        pixels = np.abs(images) * 50 if self.file.dtype != "float32" else images
        return np.repeat(pixels, self._batch, 0).astype(self.file.dtype)

    def _noise_planes(self, height: int, width: int) -> Array:
        shape = (1, self.card.input.channels, height, width)
        return np.random.default_rng(0).standard_normal(shape, np.float32)


def _of_the_image(file: OnnxFile, tensors: list[Taken]) -> list[Taken]:
    """Those that depend on the image, and on no other input."""
    inputs = {t.tensor: {value.name for value in file.part([t.tensor]).graph.input} for t in tensors}
    alone = [taken for taken in tensors if inputs[taken.tensor] == {file.input}]
    if not alone:
        more = sorted({name for names in inputs.values() for name in names} - {file.input})
        depends = f"depend on {listed(more)} besides" if more else "do not depend on"
        raise InputError(
            f"{file.path}: its outputs {depends} its image {file.input[:80]!r}, expected scores of one "
            "image alone"
        )
    return alone


def _in_order(value: Array, axes: Sequence[int]) -> Array:
    """A map as [batch, classes, height, width]."""
    ordered = value.transpose(axes)
    return ordered if ordered.ndim == 4 else ordered[:, None]


def _covering(shape: tuple[int, ...], size: tuple[int, int]) -> Sizes:
    """How logits of a shape [batch, classes, height, width] cover an image.

    Raises:
        ArtifactError: they do not.
    """
    for times in ENLARGEMENTS:
        if tuple(shape[2:]) == (times * size[0], times * size[1]):
            return Sizes(shape[1], 1, 1, 1, enlargement=times)
    return Sizes(shape[1], 1, 1, reduction_of(*size, shape))


def _axes(value: Array, size: tuple[int, int], batch: int) -> tuple[int, ...] | None:
    """The axes of a map in the order of NCHW; three where it has one score a pixel and no axis of classes."""
    if value.dtype != np.float32 or value.shape[:1] != (batch,):
        return None
    orders = {3: ((0, 1, 2),), 4: ((0, 1, 2, 3), (0, 3, 1, 2))}.get(value.ndim, ())
    for order in orders:
        try:
            _covering(_in_order(value, order).shape, size)
        except ArtifactError:
            continue
        return order
    return None
