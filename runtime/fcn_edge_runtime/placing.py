"""Where results may go: not over an input, nor over a file that is not an unchanged earlier result."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from fcn_edge_runtime._files import require_writable
from fcn_edge_runtime.errors import ArtifactError, InputError, UsageError
from fcn_edge_runtime.imaging.finding import ImageFile
from fcn_edge_runtime.imaging.marks import has_mark, is_unchanged_result

__all__ = ["check_place", "is_own", "refuse_foreign"]

_TAIL = 1024  # bytes in which a mark is looked for, before a file of any size is read


def check_place(file: ImageFile, out: Path, targets: Iterable[Path]) -> None:
    """Check that the results of an image or a video can be written; those of others may.

    Args:
        file: what is segmented.
        out: the folder of all results.
        targets: the files that will be written for it.

    Raises:
        InputError: a name is too long or that of a folder, or the file's folder cannot be made.
    """
    folder = (out / file.stem).parent
    if folder != out:
        try:
            require_writable(folder)
        except ArtifactError as error:
            raise InputError(str(error)) from None
    for path in targets:
        try:
            if stat.S_ISDIR(path.lstat().st_mode):
                raise InputError(f"{file.source} would be written as {path}, which is a folder: remove it")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(
                f"{file.source} would be written as {path.name}, which is not possible "
                f"({error.strerror or error}): give the image another name"
            ) from None


def refuse_foreign(
    targets: Iterable[Path],
    sources: Iterable[Path],
    *,
    overwrite: bool,
    own: Callable[[Path], bool],
) -> None:
    """Refuse results that would replace an input, or a file that is not an unchanged earlier result.

    Args:
        targets: the files that will be written.
        sources: the inputs.
        overwrite: replace any file but an input.
        own: whether a file is such a result.

    Raises:
        UsageError: there is one; the message names the first.
    """
    inputs = {os.path.realpath(source) for source in sources}
    foreign = []
    for target in targets:
        if "\0" not in str(target) and os.path.realpath(target) in inputs:
            raise UsageError(f"the result {target} would overwrite an input: choose another folder with -o")
        if not overwrite and os.path.lexists(target) and not _is_own_file(target, own):
            foreign.append(target)
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise UsageError(
            f"{foreign[0]}{more} would be overwritten, and fcn-edge did not write it, or it was changed "
            "since: choose another folder with -o, or give --overwrite"
        )


def is_own(path: Path) -> bool:
    """Whether a file that is not a video is an unchanged result of an earlier run."""
    with path.open("rb") as stream:
        stream.seek(max(path.stat().st_size - _TAIL, 0))
        marked_at_its_end = has_mark(stream.read())
    return marked_at_its_end and is_unchanged_result(path.read_bytes())


def _is_own_file(path: Path, own: Callable[[Path], bool]) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode) and own(path)
    except OSError:
        return False
