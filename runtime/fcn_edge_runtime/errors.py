"""Every error that a user can fix, in one tree.

    Exception
    └── FcnEdgeError            exit 1   for the user to fix: one line, got, expected, what to do
        ├── UsageError          exit 2   an argument out of range, or an unknown name
        ├── ModelError          exit 1   the ONNX file: missing, not ours, damaged, or against the contract
        ├── InputError          exit 1   an image or an array that cannot be segmented as it is
        ├── CheckpointError     exit 1   weights: unsafe, damaged, or for another network
        ├── ProviderError       exit 4   the requested device is not available or does not start
        ├── VerificationError   exit 3   a verdict, a gate, a self-test or a signature failed
        ├── ProfileError        exit 1   a profile of `fcn-edge tune`: missing, damaged, or for another model
        └── ArtifactError       exit 1   an export stage failed, or its file cannot be written

Any other exception is a bug of ours: it keeps its traceback, and the command line exits with 70.
Ctrl-C exits with 130.
"""

from __future__ import annotations

from typing import ClassVar

from fcn_edge_runtime._text import printable

__all__ = [
    "ArtifactError",
    "CheckpointError",
    "FcnEdgeError",
    "InputError",
    "ModelError",
    "ProfileError",
    "ProviderError",
    "UsageError",
    "VerificationError",
]


class FcnEdgeError(Exception):
    """A mistake that the user can fix. Its message is one line that any display shows and none obeys."""

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        return printable(" ".join(super().__str__().split()))


class UsageError(FcnEdgeError):
    """An argument out of range, or a name (network, device, class list) that does not exist."""

    exit_code = 2


class ModelError(FcnEdgeError):
    """The model file is missing, not ours, damaged, or breaks the contract."""


class InputError(FcnEdgeError):
    """An image or array that cannot be segmented as it is."""


class CheckpointError(FcnEdgeError):
    """Weights that are unsafe to read, damaged, or of another network."""


class ProviderError(FcnEdgeError):
    """The requested execution provider is not available, or does not start."""

    exit_code = 4


class VerificationError(FcnEdgeError):
    """A verdict, a gate, a self-test or a signature failed: the model is not the one that was trusted."""

    exit_code = 3


class ProfileError(FcnEdgeError):
    """A profile that cannot be read, is damaged, or was made for another model."""


class ArtifactError(FcnEdgeError):
    """An export stage failed, or its file cannot be written. The message names the stage."""
