"""A folder of files, put into place whole: it is there with all its files, or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from fcn_edge_runtime._files import part_of, place, require_writable
from fcn_edge_runtime.errors import ArtifactError, UsageError

__all__ = ["require_free", "write_folder"]


def require_free(folder: Path, *, force: bool) -> None:
    """Find out now, before any work, whether the folder can be written.

    Args:
        folder: that will be made.
        force: it may be there already, and is replaced as a whole.

    Raises:
        UsageError: it is there, and not empty.
        ArtifactError: nothing can be written there.
    """
    if os.path.lexists(folder):
        if not folder.is_dir() or folder.is_symlink():
            raise UsageError(f"{folder} is not a folder: choose another with -o")
        if not force and any(folder.iterdir()):
            raise UsageError(f"{folder} exists already: --force replaces all that is in it")
    require_writable(folder.parent)


def write_folder(folder: Path, files: Mapping[str, bytes], *, force: bool) -> None:
    """Write a folder with these files, by their path in it. One that is there is replaced as a whole.

    Raises:
        UsageError: see `require_free`.
        ArtifactError: it cannot be written; what was there before is untouched.
    """
    require_free(folder, force=force)
    try:
        with part_of(folder, folder=True) as part:
            for name, data in files.items():
                path = part / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            if not folder.exists():
                place((part, folder))
                return
            with part_of(folder, folder=True) as old:  # removed with what it then holds
                before = old / folder.name
                folder.rename(before)
                try:
                    place((part, folder))
                except BaseException:
                    before.rename(folder)
                    raise
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be written ({error.strerror or error})") from error
