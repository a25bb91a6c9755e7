"""What a model in integers is made of: channels equalized, ranges of activations, weights rounded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any

import numpy.typing as npt
import onnx

from fcn_edge_export.lowering.body import Body
from fcn_edge_export.lowering.equalization import equalized
from fcn_edge_export.lowering.fold_normalization import FoldedModel
from fcn_edge_export.lowering.qdq import IntegerTarget, with_qdq
from fcn_edge_export.lowering.ranges import Range, activation_ranges
from fcn_edge_export.lowering.rounding import RoundedLayer, rounded_layers
from fcn_edge_export.lowering.roundings import Rounding, layers_of, rounded_alone, roundings_of
from fcn_edge_export.options import QuantizeOptions
from fcn_edge_runtime.progress import Progress

__all__ = ["Prepared", "prepared"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Prepared:
    """A float model with all that its integers are made of.

    Attributes:
        model: it computes what the parent computes, see `fold_normalization` and `equalization`.
        body: of this model.
        target: the machine it is for.
        ranges: of the body's tensors.
        images: (1, H, W, C) each, that weights are fitted to.
        rounded: the products whose weights are rounded to fit them, by name.
    """

    model: onnx.ModelProto
    body: Body
    target: IntegerTarget
    ranges: Mapping[str, Range]
    images: Sequence[Array] = ()
    rounded: Mapping[str, RoundedLayer] = field(default_factory=dict)

    def in_integers(self, keep_float: AbstractSet[str] = frozenset()) -> onnx.ModelProto:
        """The model with its body in integers, all but the layers named.

        Where weights are fitted, they are fitted again to what layers in float give: the biases behind these
        would correct errors that are no longer there.

        Raises:
            ArtifactError: onnxruntime's quantizer failed.
        """
        layers = layers_of(self.model, self.body)
        floats = frozenset(node for name in keep_float for node in layers[name])
        for rounding in roundings_of(self.model, self.body) if floats else ():
            if rounding.layers <= keep_float:
                floats |= rounding.passing
        rounded = self._rounded(self.images, floats) if floats and self.images else self.rounded
        return self._quantized(floats, rounded)

    def alone(self, rounding: Rounding) -> onnx.ModelProto:
        """The model in float but for one rounding."""
        return rounded_alone(self.model, rounding, self.ranges, self.rounded, signed=self.target.signed)

    def fitted(self, images: Sequence[Array], progress: Progress | None = None) -> Prepared:
        """The same with weights rounded to fit some images (1, H, W, C)."""
        return replace(self, images=images, rounded=self._rounded(images, frozenset(), progress))

    def _rounded(
        self, images: Sequence[Array], floats: AbstractSet[str], progress: Progress | None = None
    ) -> dict[str, RoundedLayer]:
        top = 64 if self.target.seven_bits else 127
        integers = self._quantized(floats, {})
        return rounded_layers(self.model, integers, self.body, images, top, progress)

    def _quantized(self, floats: AbstractSet[str], rounded: Mapping[str, RoundedLayer]) -> onnx.ModelProto:
        return with_qdq(self.model, self.body, self.ranges, self.target, floats, rounded)


def prepared(
    entry: FoldedModel,
    body: Body,
    target: IntegerTarget,
    frames: Iterable[Array],
    images: Sequence[Array],
    method: str = QuantizeOptions.method,
) -> Prepared:
    """Equalize channels and find the ranges of activations.

    Args:
        entry: the float model.
        body: of it.
        target: the machine it is for.
        frames: (N, H, W, C) each, to find ranges on, taken one at a time.
        images: (N, H, W, C) each, a few of them, to equalize channels on.
        method: how ranges are chosen.
    """
    model = equalized(entry.model, body, images)
    ranges = activation_ranges(model, body.tensors, frames, method, entry.known)
    return Prepared(model, body, target, ranges)
