"""Files that are whole or not there: written beside the target, then renamed over it."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from fcn_edge_runtime.errors import ArtifactError

__all__ = ["read_regular", "require_writable", "write_whole"]


def read_regular(path: str | os.PathLike[str], limit: int) -> bytes:
    """The bytes of a small file. A pipe or a device is refused without opening it, so nothing hangs.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it is no regular file, or has more bytes than the limit.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - a str may hold what Path refuses
        raise ValueError("not a regular file")
    with open(path, "rb") as stream:  # noqa: PTH123 - the same
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"more than {limit} bytes")
    return data


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that, whenever this is interrupted, the old file or the new one is there, whole.

    Raises:
        ArtifactError: it cannot be written; what was there before is untouched.
    """
    # The name ends in ".part", so that no scan for images takes a leftover for a result.
    part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb") as stream:  # noqa: PTH123 - Path.open is the same with more words
            stream.write(data)
        os.replace(part, path)  # noqa: PTH105 - the atomic rename, by its own name
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink()
        if isinstance(error, OSError):
            raise ArtifactError(f"{path} cannot be written ({error.strerror or error})") from None
        raise


def require_writable(folder: Path) -> None:
    """Make the folder if need be, and find out now, before any work, whether files can be written there.

    Raises:
        ArtifactError: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".fcn-edge.{secrets.token_hex(4)}.part"
        probe.touch()
        probe.unlink()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArtifactError(
            f"the folder {folder} cannot be written ({reason}): choose another with -o"
        ) from None
