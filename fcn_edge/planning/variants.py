"""A model at other working sizes and in int8, as graphs to be measured: only a given file is verified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fcn_edge_runtime.errors import FcnEdgeError
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.session.config import exact_integers
from fcn_edge_runtime.session.profile import ProfileOptions
from fcn_edge_runtime.session.session import Session, SessionOptions, open_session

__all__ = ["SIZES", "Variant", "Variants", "int8_sibling"]

Array = npt.NDArray[Any]

# In the order in which they are tried: those that cost fewest labels for their gain are measured in any case.
SIZES = ("", "0.5x", "0.75x", "0.35x", "0.25x")


@dataclass(frozen=True)
class Variant:
    """What may be run instead of a model.

    Attributes:
        working_size: as `export --working-size` takes it; empty for the model's own.
        int8: whether its body is in integers.
        tuned: whether its session has the options that `tune` found.
    """

    working_size: str = ""
    int8: bool = False
    tuned: bool = False

    def __str__(self) -> str:
        made = " at ".join(part for part in ("int8" if self.int8 else "", self.working_size) if part)
        if not made:
            return "tuned" if self.tuned else "as it is"
        return f"{made}, tuned" if self.tuned else made

    @property
    def steps(self) -> int:
        """How many commands make it."""
        return bool(self.working_size) + self.int8 + self.tuned


class Variants:
    """Makes the graphs of variants, and sessions of them.

    Args:
        model: the model, open.
        sibling: its int8 file, open, where there is one.
        calibration: frames (H, W, C) to calibrate on.
        tuned: the session options that `tune` found; None where nothing is faster than the defaults.
    """

    def __init__(
        self,
        model: ModelFile,
        sibling: ModelFile | None,
        calibration: Sequence[Array],
        tuned: ProfileOptions | None,
    ) -> None:
        self._model, self._sibling, self._calibration, self._tuned = model, sibling, calibration, tuned
        self._graphs: dict[Variant, ModelFile | bytes] = {Variant(): model}
        if sibling is not None:
            self._graphs[Variant(int8=True)] = sibling

    def session(self, variant: Variant) -> Session:
        """A session of a variant; its graph is made first where that was not done before.

        Raises:
            FcnEdgeError: it cannot be made or run.
        """
        plain = replace(variant, tuned=False)
        if plain not in self._graphs:
            self._graphs[plain] = self._made(plain)
        graph = self._graphs[plain]
        config = exact_integers() if variant.int8 and isinstance(graph, bytes) else {}
        if not variant.tuned or self._tuned is None:
            return open_session(graph, options=SessionOptions(config=config))
        options = replace(self._tuned.session_options, config=config)
        try:
            return open_session(graph, self._tuned.device, threads=self._tuned.threads, options=options)
        except FcnEdgeError:  # the head in numpy is not for every graph
            options = replace(options, head="graph")
            return open_session(graph, self._tuned.device, threads=self._tuned.threads, options=options)

    def _made(self, variant: Variant) -> bytes:
        import onnx

        from fcn_edge_export.graph.other_size import at_working_size
        from fcn_edge_export.graph.working_size import parse_working_size
        from fcn_edge_export.lowering.trial import in_integers

        card: Card = self._model.card
        graph = onnx.load_model_from_string(self._model.data())
        if variant.working_size:
            graph = at_working_size(graph, card, parse_working_size(variant.working_size))
        if variant.int8:
            graph = in_integers(graph, card.input, [np.asarray(frame)[None] for frame in self._calibration])
        return bytes(graph.SerializeToString())


def int8_sibling(path: str, digest: str) -> str:
    """The path of the int8 file that was made of a model and lies beside it; empty if there is none."""
    place = Path(path).with_suffix(".int8.onnx")
    try:
        with ModelFile.open(place) as found:
            lowering = found.card.lowering
            own = lowering is not None and found.card.precision == "int8" and lowering.parent_sha256 == digest
            return str(place) if own else ""
    except FcnEdgeError:
        return ""
