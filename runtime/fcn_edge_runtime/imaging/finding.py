"""Finds image files from files, folders and glob patterns, each name once, in a stable order.

Links are names like others: two names of one file give two results, and linked folders are searched, too,
apart from those that lead back to a folder in which they lie.
"""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.reading import EXTENSIONS

__all__ = ["ImageFile", "find_images", "is_video"]

_VIDEOS = (".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv")

# What `fcn-edge run` wrote earlier into the same folder.
_OWN_RESULT = re.compile(
    r".*\.(labels\.png|confidence\.png|probability-\d+\.png|(overlay|effect)\.(png|jpg|webp))", re.DOTALL
)


@dataclass(frozen=True)
class ImageFile:
    """An image file.

    Attributes:
        source: its path.
        stem: the path of its results below an output folder, without suffix; no other image has it.
        relative: its path below the folder in which it was found, without suffix.
    """

    source: Path
    stem: Path
    relative: Path


def is_video(path: Path) -> bool:
    """Whether a name has the ending of a video; such a file is found where it is named, not in folders."""
    return path.name.lower().endswith(_VIDEOS)


def find_images(inputs: Iterable[str], *, recursive: bool = False) -> list[ImageFile]:
    """Find image files from files, folders and glob patterns, each name once, in a stable order.

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
            found.setdefault(_name_of(source), (source, relative))
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
    elif "**" in Path(text).parts:
        yield from _deep_matches(text)
    elif glob.has_magic(text):
        base = _literal_part(text)
        for match in sorted(glob.glob(text)):  # noqa: PTH207 - Path.glob takes no absolute pattern
            hit = Path(match)
            if hit.is_dir():
                yield from ((s, _relative(hit, base) / r) for s, r in _in_folder(hit, recursive=recursive))
            else:
                yield hit, _relative(hit, base)
    else:
        raise InputError(f"there is no image or folder {text}")


def _deep_matches(text: str) -> Iterator[tuple[Path, Path]]:
    """Images that match a pattern with `**`, which stands for any number of folders."""
    parts = Path(text).parts
    deep = parts.index("**")
    base, start = _literal_part(text), str(Path(*parts[:deep]))
    rest = re.compile(_regex(parts[deep:]), re.DOTALL)
    for match in sorted(glob.glob(start)) if glob.has_magic(start) else [start]:  # noqa: PTH207 - as above
        folder = Path(match)
        for source, relative in _in_folder(folder, recursive=True):
            if rest.fullmatch(relative.as_posix()):
                yield source, _relative(folder, base) / relative


def _regex(parts: Sequence[str]) -> str:
    """A pattern's parts as a regular expression of paths with `/`; `**` at the end matches all files."""
    *folders, last = parts
    name = "(?:.+/)?[^/]+" if last == "**" else _in_name(last)
    return "".join("(?:.+/)?" if part == "**" else f"{_in_name(part)}/" for part in folders) + name


def _in_name(pattern: str) -> str:
    """One part of a pattern: its wildcards stay within a name."""
    return "".join(
        {"*": "[^/]*", "?": "[^/]"}.get(token) or (_set(token) if token[0] == "[" else re.escape(token))
        for token in re.findall(r"\[!?\]?[^\]]*\]|.", pattern, re.DOTALL)
    )


def _set(token: str) -> str:
    """`[abc]` or `[!abc]` as a regular expression; a lone `[` is itself."""
    if len(token) == 1:
        return re.escape(token)
    negated = token[1] == "!"
    inside = token[1 + negated : -1].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
    inside = inside.replace("]", r"\]")
    return f"[{'^/' if negated else ''}{inside}]"


def _in_folder(
    folder: Path, *, recursive: bool, above: tuple[str, ...] = (), below: Path | None = None
) -> Iterator[tuple[Path, Path]]:
    """Images of a folder, its names in order, files before folders."""
    real = os.path.realpath(folder)
    if real in above:
        return  # a link that leads back
    below = below or Path()
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # not readable: as os.walk, which shells and people know
        return
    folders = []
    for entry in entries:
        if os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():  # noqa: PTH112 - never raises
            folders.append(entry.name)
        elif _is_image(Path(entry.name)):
            yield folder / entry.name, below / entry.name
    if recursive:
        for name in folders:
            if not name.startswith("."):
                yield from _in_folder(folder / name, recursive=True, above=(*above, real), below=below / name)


def _name_of(source: Path) -> str:
    """What tells one name from another: links are not followed, apart from those before `..`."""
    if ".." in source.parts:
        return os.path.join(os.path.realpath(source.parent), source.name)  # noqa: PTH118 - a str is enough
    return str(source.absolute())


def _is_image(path: Path) -> bool:
    name = path.name.lower()
    return name.endswith(EXTENSIONS) and not name.startswith(".") and not _OWN_RESULT.fullmatch(name)


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
    short = Counter(str(_without_suffix(relative)).lower() for _, relative in found)
    images = []
    taken: set[str] = set()
    for source, relative in found:
        plain = _without_suffix(relative)
        stem = relative if short[str(plain).lower()] > 1 else plain
        free, number = stem, 2
        while str(free).lower() in taken:
            free, number = stem.with_name(f"{stem.name}-{number}"), number + 1
        taken.add(str(free).lower())
        images.append(ImageFile(source, free, plain))
    return images


def _without_suffix(path: Path) -> Path:
    """The path without the last suffix; `..png`, whose name would be a dot, stays whole."""
    return path.with_name(os.path.splitext(path.name)[0])  # noqa: PTH122 - Path.stem of "..png" is "."
