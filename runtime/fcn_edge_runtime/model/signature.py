"""Who made a model: a signature beside its file, in the format of OpenSSF Model Signing.

`MODEL.sig` is a Sigstore bundle over the SHA-256 of the file, as the package model-signing writes and
verifies it, keys included. The digest that is compared is that of the file that is open, so nothing is opened
again between the check and the use.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fcn_edge_runtime._extras import require
from fcn_edge_runtime._files import read_regular
from fcn_edge_runtime._text import printable
from fcn_edge_runtime.errors import UsageError, VerificationError

if TYPE_CHECKING:
    from fcn_edge_runtime.model.file import ModelFile

__all__ = ["SUFFIX", "PrivateKeyError", "require_signature", "signature_of"]

SUFFIX = ".sig"
_MOST_BYTES = 1 << 20  # of a signature or a key
_PURPOSE = "signing models, and checking signatures,"

Key = str | os.PathLike[str]


class PrivateKeyError(UsageError):
    """A private key that cannot be read, or needs another password."""


def require_signature(path: str, digest: str, keys: Sequence[Key]) -> Key:
    """Check the signature beside a model.

    Args:
        path: of the model; the signature's is the same with ".sig" at its end.
        digest: the SHA-256 of the file as it is open.
        keys: PEM files of public keys, on the curves P-256, P-384 or P-521.

    Returns:
        The key that signed it.

    Raises:
        VerificationError: there is no signature, it is damaged, by none of the keys, or of another file; or
            model-signing is not installed.
        UsageError: there are no keys, or one cannot be read.
    """
    if not keys:
        raise UsageError("there are no trusted keys, expected at least one")
    place = f"{path}{SUFFIX}"
    try:
        signature = read_regular(place, _MOST_BYTES)
    except FileNotFoundError:
        raise VerificationError(
            f"{path} is not signed (there is no {place}), and only models that a trusted key signed are "
            "opened: `fcn-edge sign` it"
        ) from None
    except (OSError, ValueError) as error:
        raise VerificationError(f"the signature {place} cannot be read ({_reason(error)})") from None
    verifying = _library("verifying")
    with tempfile.TemporaryDirectory() as folder:  # what was read here within limits is what is verified
        copy = Path(folder) / "signature"
        copy.write_bytes(signature)
        reason = ""
        for key in keys:
            config = verifying.Config().set_hashing_config(_Hashed(path, digest))
            config = _with_key(config.use_elliptic_key_verifier, key)
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    config.verify(path, copy)
            except Exception as error:  # noqa: BLE001 - of a damaged bundle the library raises whatever it meets
                reason = reason if "another file" in reason else _why(error)
                continue
            return key
    raise VerificationError(f"{path} is not signed by a trusted key: {place} {reason}")


def signature_of(model: ModelFile, key: Key, password: str | None = None) -> bytes:
    """The signature of an open model.

    Args:
        model: the file, open.
        key: a PEM file of a private key, on the curve P-256, P-384 or P-521.
        password: of the key, if it is encrypted.

    Raises:
        PrivateKeyError: the key cannot be read, or needs a password or another one.
        VerificationError: model-signing is not installed.
        ModelError: the file was changed in place since it was opened.
    """
    config = _library("signing").Config().set_hashing_config(_Hashed(model.path, model.digest))
    try:
        read_regular(key, _MOST_BYTES)
        secret = None if password is None else password.encode()
        config.use_elliptic_key_signer(private_key=key, password=secret)
    except (OSError, ValueError, TypeError) as error:
        raise PrivateKeyError(f"the private key {key} cannot be used ({_reason(error)})") from None
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "signature"
        config.sign(model.path, made)
        model.check_unchanged()
        return made.read_bytes()


class _Hashed:
    """A hashing configuration of model-signing for a file whose digest is known."""

    def __init__(self, path: str, digest: str) -> None:
        self._name, self._digest = os.path.basename(path), digest  # noqa: PTH119 - a str may hold what Path refuses

    def hash(self, *_: object, **__: object) -> Any:
        """The manifest of the one file, as the library makes it of a file."""
        kind = _library("manifest").SerializationType.from_args(
            {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": []}
        )
        # The library has no public name for a digest that is known.
        digest = _library("_hashing.hashing").Digest("sha256", bytes.fromhex(self._digest))
        return _library("manifest").Manifest(self._name, [kind.new_item(".", digest)], kind)

    def add_ignored_paths(self, **_: object) -> None:
        """There are no paths."""


def _library(name: str) -> Any:
    require("OpenSSL", _PURPOSE, VerificationError)  # model-signing 1.1 needs it and does not say so
    return require(f"model_signing.{name}", _PURPOSE, VerificationError)


def _with_key(use: Any, key: Key) -> Any:
    try:
        read_regular(key, _MOST_BYTES)
        return use(public_key=key)
    except Exception as error:  # noqa: BLE001 - whatever a damaged key raises
        raise UsageError(f"the public key {key} cannot be used ({_reason(error)})") from None


def _why(error: Exception) -> str:
    text = str(error)
    if text.startswith("Signature mismatch"):
        return "is of another file: the model was changed since, or the signature is another model's"
    if text.startswith("Key mismatch"):
        return "is by another key"
    return f"does not hold ({_reason(error)})"


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return printable(text, 160)
