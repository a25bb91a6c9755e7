"""The file: model, card, golden vectors and seal, written completely or not at all."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import EncodeError

from fcn_edge_export.graph.strip import strip
from fcn_edge_export.introduction import denote_image, introduce, pixel_entries
from fcn_edge_runtime._files import alone_in, part_of, place, remove_dead_parts, sync
from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.model.card import CARD_KEY, Card
from fcn_edge_runtime.model.golden_vectors import GOLDEN_KEY, Golden
from fcn_edge_runtime.model.seal import sealed

__all__ = ["Draft", "OutputFile", "assemble"]

# The limit of protobuf is 2 GiB; external data would break the promise of one file.
MAX_BYTES = (1 << 31) - 1


def assemble(model: onnx.ModelProto, card: Card, golden: Golden) -> bytes:
    """The bytes of the file: the model with card, golden vectors and, at the very end, the seal.

    The same model, card and vectors give the same bytes. Every metadata entry and doc string of the model is
    removed first.

    Raises:
        ArtifactError: it would be larger than an ONNX file can be.
    """
    strip(model)
    entries = introduce(model, card)
    onnx.helper.set_model_props(
        model, {**entries, **pixel_entries(card), CARD_KEY: card.to_json(), GOLDEN_KEY: golden.to_json()}
    )
    denote_image(model.graph.input[0])
    try:
        data = sealed(model.SerializeToString(deterministic=True))
    except (EncodeError, ValueError) as error:  # the limit of protobuf itself
        raise ArtifactError(f"write: the model is too large for an ONNX file: {error}") from error
    if len(data) > MAX_BYTES:
        raise ArtifactError(
            f"write: the file would have {len(data)} bytes, an ONNX file has at most {MAX_BYTES}"
        )
    return data


@dataclass(frozen=True)
class Draft:
    """A complete file next to its final path, not yet renamed."""

    path: Path


@dataclass(frozen=True)
class OutputFile:
    """Where a file will be written; checked to be writable before the work starts.

    Attributes:
        path: the model's final path.
        report: the path of its verification report.
    """

    path: Path
    report: Path

    @classmethod
    def at(cls, path: str | os.PathLike[str], ending: str = ".onnx") -> OutputFile:
        """Check a path before the work starts, which may take hours.

        Args:
            path: of the file.
            ending: that its name must have.

        Raises:
            ArtifactError: the name ends otherwise, or its folder is missing or cannot be written.
        """
        target = Path(path)
        if not target.name.endswith(ending) or target.name == ending:
            raise ArtifactError(f"write: got the name {target.name!r}, expected one that ends in {ending}")
        if target.is_dir():
            raise ArtifactError(f"write: {target} is a folder, expected a file name")
        folder = target.parent
        if not folder.is_dir():
            raise ArtifactError(f"write: the folder {folder} does not exist: create it first")
        report = target.with_name(target.name.removesuffix(ending) + ".verification.json")
        with _temporary(report):
            pass  # the only sure test: permission bits are not enough for root, mounts and quotas
        with _os_errors(report), contextlib.suppress(FileNotFoundError):
            report.lstat()  # the longest of the names, which may be too long
        remove_dead_parts(folder)
        return cls(target, report)

    @contextlib.contextmanager
    def draft(self, data: bytes) -> Iterator[Draft]:
        """Write the data to a file next to the target; it is removed unless it is published."""
        with _temporary(self.path) as temporary:
            with _os_errors(self.path.parent):
                temporary.write_bytes(data)
                sync(temporary)  # a full disk shows now, not after the checks
            del data  # the file is opened and run next: a second copy would waste memory
            yield Draft(temporary)

    def publish(self, draft: Draft, report: Mapping[str, Any]) -> None:
        """Rename the report into place, then the model: a model never exists without its report."""
        with _temporary(self.report) as temporary:
            with _os_errors(self.path.parent):
                temporary.write_bytes(_json(report))
            with _os_errors(self.path), alone_in(self.path.parent):
                place((temporary, self.report), (draft.path, self.path))

    def publish_report(self, report: Mapping[str, Any]) -> None:
        """Write a new report next to a model that is not changed."""
        with _temporary(self.report) as temporary:
            with _os_errors(self.path.parent):
                temporary.write_bytes(_json(report))
            with _os_errors(self.report):
                place((temporary, self.report))


def _json(report: Mapping[str, Any]) -> bytes:
    return (json.dumps(report, indent=2, allow_nan=False) + "\n").encode()


def _temporary(target: Path) -> contextlib.AbstractContextManager[Path]:
    """A new, empty file next to the target; removed at the end, unless it was renamed."""
    return part_of(target, refusal=lambda why: ArtifactError(f"write: cannot write to {target}: {why}"))


@contextlib.contextmanager
def _os_errors(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtifactError(f"write: cannot write to {where}: {error.strerror or error}") from error
