"""A model file, opened once and checked before onnxruntime sees it.

What was hashed must be what is loaded. On Linux the file is opened once: the open descriptor is hashed and
read, and onnxruntime loads it again through `/proc/self/fd/N`, so that a file renamed over the path in
between changes nothing; a file rewritten in place is noticed by its size and time. Elsewhere the bytes are
read and loaded.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import BinaryIO

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.allowed import allowed_operators, keys_of_environment
from fcn_edge_runtime.model.card import CARD_KEY, Card
from fcn_edge_runtime.model.contract import check_contract, check_operators
from fcn_edge_runtime.model.dry_run.run import DryRun
from fcn_edge_runtime.model.golden_vectors import GOLDEN_KEY, Golden
from fcn_edge_runtime.model.limits import check_limits
from fcn_edge_runtime.model.protobuf.summary import ModelSummary, read_model
from fcn_edge_runtime.model.seal import SEAL_LENGTH, check_seal

__all__ = ["VARIANT_KEY", "ModelFile"]

VARIANT_KEY = "fcn_edge.variant"  # in files of other layouts, which others run

# Protobuf, and with it every ONNX reader, ends at 2 GiB.
_MAX_BYTES = (1 << 31) - 1


@dataclass(frozen=True)
class ModelFile:
    """A model file that is sealed, complete and follows the contract.

    Attributes:
        path: the path it was opened by, as it was given.
        digest: the SHA-256 of the whole file, as `sha256sum` prints it.
        size: its bytes.
        summary: what it declares: tensors, operators, versions.
        card: its facts, see `Card`.
        golden: its self-test.
        limits: its graph, to follow it for a size of image before it is run.
    """

    path: str
    digest: str
    size: int
    summary: ModelSummary
    card: Card
    golden: Golden
    limits: DryRun = field(repr=False, compare=False)
    _file: BinaryIO = field(repr=False, compare=False)
    _state: tuple[int, ...] = field(repr=False, compare=False)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        allow_operators: Collection[str] = (),
        trusted_keys: Sequence[str | os.PathLike[str]] | None = None,
    ) -> ModelFile:
        """Open, hash and check a model file. Nothing stays open if it is refused.

        Args:
            path: of the file.
            allow_operators: operators to accept besides those of `dry_run.operators` and those in the
                environment, see `allowed_operators`; what they make is not limited.
            trusted_keys: public keys, one of which must have signed the file; empty asks for no signature,
                None for one by the keys in the environment, if it has any. See `signature`.

        Raises:
            VerificationError: the signature is missing, or by none of the keys.
            UsageError: a key cannot be read.
            ModelError: it is missing, not a regular file, not sealed, changed, or breaks the contract.
        """
        name = os.fspath(path)
        file = _open_regular(name)
        try:
            state = _state_of(file)
            size = state[2]
            _require_size(name, size)
            digest = check_seal(file, name)
            keys = keys_of_environment() if trusted_keys is None else trusted_keys
            if keys:
                from fcn_edge_runtime.model.signature import require_signature

                require_signature(name, digest, keys)  # before anything of it is parsed
            allowed = allowed_operators().union(allow_operators)
            model = cls(name, digest, size, *_checked(file, size, name, allowed), file, state)
            model.check_unchanged()
        except OSError as error:
            file.close()
            raise ModelError(f"{name} cannot be read ({error.strerror or error})") from None
        except BaseException:
            file.close()
            raise
        return model

    @contextlib.contextmanager
    def source(self) -> Iterator[str | bytes]:
        """What onnxruntime loads: a path that names the open descriptor, or the bytes.

        Raises:
            ModelError: the file was changed in place since it was hashed, noticed before or after the load.
        """
        if self._file.closed:
            raise ModelError(f"{self.path} was closed: open it again")
        by_descriptor = f"/proc/self/fd/{self._file.fileno()}"
        if sys.platform == "linux" and os.access(by_descriptor, os.R_OK):
            yield by_descriptor
        else:
            yield _read(self._file, self.size, str(self.path))
        self.check_unchanged()

    def data(self) -> bytes:
        """The file's bytes.

        Raises:
            ModelError: it was closed, or changed in place since it was hashed.
        """
        if self._file.closed:
            raise ModelError(f"{self.path} was closed: open it again")
        data = _read(self._file, self.size, str(self.path))
        self.check_unchanged()
        return data

    def check_unchanged(self) -> None:
        """Raise ModelError if the open file is not in the state in which it was hashed."""
        if _state_of(self._file) != self._state:
            raise ModelError(f"{self.path} was changed while it was loaded: try again when it is complete")

    def close(self) -> None:
        """Close the file. The facts read from it stay."""
        self._file.close()

    def __enter__(self) -> ModelFile:  # noqa: PYI034 - typing.Self came with Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open_regular(name: str) -> BinaryIO:
    """Open a regular file. A FIFO or a device is refused without opening it, so nothing hangs."""
    try:
        _require_regular(name, os.stat(name).st_mode)  # noqa: PTH116 - a str may hold what Path refuses
        # O_NONBLOCK: a FIFO put there since the line above must not hang us.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(name, flags | getattr(os, "O_CLOEXEC", 0)), "rb")
    except FileNotFoundError:
        raise ModelError(f"there is no model file {name}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"the model file {name!r} cannot be opened ({reason})") from None
    try:
        _require_regular(name, os.fstat(file.fileno()).st_mode)
    except ModelError:
        file.close()
        raise
    return file


def _require_size(name: str, size: int) -> None:
    if size > _MAX_BYTES:
        raise ModelError(f"{name} has {size} bytes, an ONNX file has at most {_MAX_BYTES}")
    if size <= SEAL_LENGTH:
        raise ModelError(f"{name} has {size} bytes, too few for a model: copy or export it again")


def _require_regular(name: str, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise ModelError(f"{name} is a folder, expected a model file")
    if not stat.S_ISREG(mode):
        raise ModelError(f"{name} is a pipe, socket or device, expected a regular file")


def _state_of(file: BinaryIO) -> tuple[int, ...]:
    """What changes when a file is written in place. Not ctime: a rename over the path changes that too."""
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _read(file: BinaryIO, size: int, name: str) -> bytes:
    """The file's bytes. Read, not mapped: a file cut short under a map would kill the process."""
    file.seek(0)
    data = file.read(size)
    if len(data) != size:
        raise ModelError(f"{name} became shorter while it was read: open it again when it is complete")
    return data


def _checked(
    file: BinaryIO, size: int, name: str, allowed: Collection[str]
) -> tuple[ModelSummary, Card, Golden, DryRun]:
    summary, graph = read_model(_read(file, size, name))
    if VARIANT_KEY in summary.metadata and CARD_KEY not in summary.metadata:
        raise ModelError(
            f"{name} is a variant that `fcn-edge variant` made for another program: expected the model that "
            "it was made of"
        )
    for key in (CARD_KEY, GOLDEN_KEY):
        if key not in summary.metadata:
            raise ModelError(
                f"{name} has no {key!r} in its metadata: expected a model `fcn-edge export` wrote"
            )
    card = Card.from_json(summary.metadata[CARD_KEY])
    golden = Golden.from_json(summary.metadata[GOLDEN_KEY])
    golden.check_card(card)
    check_contract(summary, card, name)
    check_operators(summary, card, name)
    return summary, card, golden, check_limits(graph, card, size, name, allowed)
