"""Finds image files from files, folders and glob patterns, each once, in a stable order."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.reading import EXTENSIONS

__all__ = ["ImageFile", "find_images"]

# What `fcn-edge run` wrote earlier into the same folder.
_OWN_RESULTS = (".labels.png", ".overlay.png", ".confidence.png", ".effect.png")


@dataclass(frozen=True)
class ImageFile:
    """An image file, and the path of its results below an output folder, without suffix."""

    source: Path
    stem: Path


def find_images(inputs: Iterable[str], *, recursive: bool = False) -> list[ImageFile]:
    """Find image files from files, folders and glob patterns, each once, in a stable order.

    A file is taken whatever its name; in folders, only names with the suffix of an image are taken, and
    hidden files and earlier results of `fcn-edge run` are skipped.

    Args:
        inputs: paths or patterns; an existing path is used literally, even with `*` or `[` in its name.
        recursive: whether to search subfolders.

    Raises:
        InputError: an input does not exist, or no image was found.
    """
    inputs = list(inputs)
    found: dict[str, tuple[Path, Path]] = {}
    for text in inputs:
        for source, relative in _expand(text, recursive=recursive):
            found.setdefault(os.path.realpath(source), (source, relative))
    if not found:
        hint = "" if recursive else ", or --recursive to search subfolders"
        names = ", ".join(inputs[:3]) or "nothing"
        raise InputError(f"no images in {names}: expected names ending in {' '.join(EXTENSIONS)}{hint}")
    return _with_stems(list(found.values()))


def _expand(text: str, *, recursive: bool) -> Iterator[tuple[Path, Path]]:
    """Pairs of an image and its path relative to the folder in which it was found."""
    path = Path(text)
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError) as error:  # a name that is too long, or has invalid characters
        raise InputError(
            f"{text[:200]!r} cannot be opened ({getattr(error, 'strerror', None) or error})"
        ) from None
    if is_folder:
        yield from _in_folder(path, recursive=recursive)
    elif os.path.lexists(path):
        yield path, Path(path.name)
    elif glob.has_magic(text):
        base = _literal_part(text)
        for match in sorted(glob.glob(text, recursive=True)):  # noqa: PTH207 - Path.glob takes no absolute pattern
            hit = Path(match)
            if hit.is_dir():
                # `photos/**` also matches folders, whose images it matches already.
                if "**" not in text:
                    yield from (
                        (s, _relative(hit, base) / r) for s, r in _in_folder(hit, recursive=recursive)
                    )
            elif "**" not in text or _is_image(hit):
                yield hit, _relative(hit, base)
    else:
        raise InputError(f"there is no image or folder {text}")


def _in_folder(folder: Path, *, recursive: bool) -> Iterator[tuple[Path, Path]]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        for name in sorted(names):
            source = Path(parent, name)
            if _is_image(source):
                yield source, source.relative_to(folder)


def _is_image(path: Path) -> bool:
    name = path.name.lower()
    return name.endswith(EXTENSIONS) and not name.startswith(".") and not name.endswith(_OWN_RESULTS)


def _literal_part(pattern: str) -> Path:
    """The folder before the first part of a pattern with a wildcard."""
    parts = Path(pattern).parts
    count = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:count])


def _relative(path: Path, base: Path) -> Path:
    """The path relative to base; only the name if that would lead out of the output folder."""
    try:
        relative = path.relative_to(base)
    except ValueError:
        return Path(path.name)
    return Path(path.name) if ".." in relative.parts else relative


def _with_stems(found: Sequence[tuple[Path, Path]]) -> list[ImageFile]:
    """Give each image a unique stem; case is ignored, as in some file systems."""
    short = Counter(str(relative.with_suffix("")).lower() for _, relative in found)
    images = []
    taken: set[str] = set()
    for source, relative in found:
        stem = relative.with_suffix("")
        if short[str(stem).lower()] > 1:
            stem = relative
        free, number = stem, 2
        while str(free).lower() in taken:
            free, number = stem.with_name(f"{stem.name}-{number}"), number + 1
        taken.add(str(free).lower())
        images.append(ImageFile(source, free))
    return images
