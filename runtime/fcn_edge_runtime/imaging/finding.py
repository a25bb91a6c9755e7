"""Finds image files from files, folders and glob patterns, each name once, in a stable order.

Links are names like others: two names of one file give two results, and linked folders are searched, too,
apart from those that lead back to a folder in which they lie.
"""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.reading import EXTENSIONS

__all__ = ["VOLUMES", "ImageFile", "find_images", "is_video", "stream_images"]

VOLUMES = (".nii", ".nii.gz")  # of medical scans; see `medical`

_VIDEOS = (".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv")

# Pictures and scans that are not read: without a word, whoever has a folder of them would not miss them.
_NOT_READ = (
    ".arw",
    ".avif",
    ".cr2",
    ".cr3",
    ".dng",
    ".exr",
    ".gif",
    ".hdr",
    ".heic",
    ".heif",
    ".ico",
    ".img",
    ".j2k",
    ".jp2",
    ".jxl",
    ".mha",
    ".mhd",
    ".nef",
    ".nrrd",
    ".pbm",
    ".pgm",
    ".pnm",
    ".ppm",
    ".psd",
    ".svg",
    ".tga",
)
_LEFT_OUT = frozenset({*_NOT_READ, *_VIDEOS})  # from folders

# What `fcn-edge run` wrote earlier into the same folder.
_OWN_RESULT = re.compile(
    r".*\.(labels\.png|confidence\.png|probability-\d+\.png|(overlay|effect)\.(png|jpg|webp|mp4)|labels\.nii\.gz)",
    re.DOTALL,
)

_MOST_LINKS = 10_000  # to folders, within one input
_ANY = None  # in a pattern: any number of names


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


def find_images(
    inputs: Iterable[str],
    *,
    recursive: bool = False,
    endings: tuple[str, ...] = EXTENSIONS,
    whole: Callable[[Path], bool] | None = None,
) -> list[ImageFile]:
    """Find image files from files, folders and glob patterns, each name once, in a stable order.

    A file is taken whatever its name; in folders, only names with the suffix of an image are taken, and
    hidden files and earlier results of `fcn-edge run` are skipped. A warning counts the pictures of other
    kinds, and videos, that a folder holds.

    Args:
        inputs: paths or patterns; an existing path is used literally, even with `*` or `[` in its name.
        recursive: whether to search subfolders.
        endings: of the names that are taken in folders.
        whole: whether a folder counts as one image, such as that of a DICOM series; None takes none for one.

    Raises:
        InputError: an input does not exist, or no image was found.
    """
    inputs = list(inputs)
    found: dict[str, tuple[Path, Path]] = {}
    left_out: Counter[str] = Counter()
    for text in inputs:
        for source, relative in _Search(
            text, recursive=recursive, endings=endings, whole=whole or _never, left_out=left_out
        ).images():
            found.setdefault(_name_of(source), (source, relative))
    names = ", ".join(inputs[:3]) or "nothing"
    if not found:
        hint = "" if recursive else ", or --recursive to search subfolders"
        held = f" (there are {_counted(left_out)})" if left_out else ""
        raise InputError(f"no images in {names}{held}: expected names ending in {' '.join(endings)}{hint}")
    _warn_of(left_out, names)
    return _with_stems(
        [
            (source, relative, relative if whole and source.is_dir() else _without_suffix(relative))
            for source, relative in found.values()
        ]
    )


def _never(_: Path) -> bool:
    return False


def _counted(left_out: Counter[str]) -> str:
    """Such as "2 .gif, 1 .mp4"."""
    return ", ".join(f"{count} {ending}" for ending, count in left_out.most_common(5))


def _warn_of(left_out: Counter[str], names: str) -> None:
    if left_out:
        advice = "convert pictures to PNG or TIFF, name videos themselves"
        warnings.warn(f"left out of {names}: {_counted(left_out)}: {advice}", stacklevel=3)


def stream_images(
    folder: str, *, recursive: bool = False, endings: tuple[str, ...] = EXTENSIONS
) -> Iterator[ImageFile]:
    """Images of a folder as the system lists them, in no order: memory does not grow with their number.

    Names are kept whole, with their suffixes, since the names of others are not known.

    Args:
        folder: that holds them.
        recursive: whether to search subfolders.
        endings: of the names that are taken.

    Raises:
        InputError: it is not a folder.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 - never raises
        raise InputError(f"there is no folder {folder}")
    return _streamed(folder, recursive=recursive, endings=endings)


def _streamed(folder: str, *, recursive: bool, endings: tuple[str, ...]) -> Iterator[ImageFile]:
    left_out: Counter[str] = Counter()
    search = _Search(folder, recursive=recursive, endings=endings, whole=_never, left_out=left_out)
    for source, relative in search.in_folder(Path(folder), recursive=recursive, entries=_unsorted_entries):
        yield ImageFile(source, relative, _without_suffix(relative))
    _warn_of(left_out, folder)


class _Search:
    """What one input stands for. Links to folders are counted, since they may multiply the ways to a file."""

    def __init__(
        self,
        text: str,
        *,
        recursive: bool,
        endings: tuple[str, ...],
        whole: Callable[[Path], bool],
        left_out: Counter[str],
    ) -> None:
        self._text, self._recursive, self._endings, self._whole = text, recursive, endings, whole
        self._left_out = left_out  # by ending, counts of what is not read
        self._links = 0

    def images(self) -> Iterator[tuple[Path, Path]]:
        """Pairs of an image and its path relative to the folder in which it was found."""
        text, path = self._text, Path(self._text)
        try:
            is_folder = path.is_dir()
        except (OSError, ValueError) as error:  # a name that is too long, or has invalid characters
            raise InputError(
                f"{text[:200]!r} cannot be opened ({getattr(error, 'strerror', None) or error})"
            ) from None
        if is_folder and self._whole(path):
            yield path, Path(path.resolve().name or "folder")
        elif is_folder:
            yield from self.in_folder(path, recursive=self._recursive)
        elif os.path.lexists(path):
            yield path, Path(path.name)
        elif "**" in path.parts:
            yield from self._deep_matches(path.parts)
        elif glob.has_magic(text):
            base = _literal_part(text)
            for hit in self._matches(path.parts):
                if hit.is_dir() and not self._whole(hit):
                    within = self.in_folder(hit, recursive=self._recursive)
                    yield from ((source, _relative(hit, base) / below) for source, below in within)
                else:
                    yield hit, _relative(hit, base)
        else:
            raise InputError(f"there is no image or folder {text}")

    def _deep_matches(self, parts: Sequence[str]) -> Iterator[tuple[Path, Path]]:
        """Images that match a pattern with `**`, which stands for any number of folders."""
        deep = parts.index("**")
        base = _literal_part(self._text)
        rest = [_ANY if part == "**" else _name_fits(part) for part in parts[deep:]]
        if parts[-1] == "**":
            rest.append(_name_fits("*"))
        for folder in self._matches(parts[:deep]):
            for source, relative in self.in_folder(folder, recursive=True):
                if _fits(rest, relative.parts):
                    yield source, _relative(folder, base) / relative

    def _matches(self, parts: Sequence[str]) -> list[Path]:
        """Paths that match a pattern's parts, in order; wildcards take no hidden names, and no way back."""
        found = [Path()]
        for part in parts:
            if glob.has_magic(part):
                found = [path for folder in found for path in self._matching(folder, part)]
            else:
                found = [folder / part for folder in found if os.path.lexists(folder / part)]
        return sorted(found, key=str)

    def _matching(self, folder: Path, part: str) -> Iterator[Path]:
        fits = _name_fits(part)
        above = {os.path.realpath(path) for path in (folder, *folder.parents)}
        for entry in _entries(folder):
            hidden = entry.name.startswith(".") and not part.startswith(".")
            if not hidden and fits(entry.name) and self._real(entry, "") not in above:
                yield folder / entry.name

    def in_folder(
        self,
        folder: Path,
        *,
        recursive: bool,
        entries: Callable[[Path], Iterable[os.DirEntry[str]]] | None = None,
    ) -> Iterator[tuple[Path, Path]]:
        """Images of a folder, files before folders, without the links that lead back; in order by default."""
        real = os.path.realpath(folder)
        above_all = (*map(str, Path(real).parents), real)
        waiting: list[tuple[Path, Path, tuple[str, ...]]] = [(folder, Path(), above_all)]
        while waiting:
            here, below, above = waiting.pop()
            folders: list[tuple[Path, Path, tuple[str, ...]]] = []
            for entry in (entries or _entries)(here):
                target = self._real(entry, above[-1])
                if target is None:
                    if _is_image(entry.name, self._endings):
                        yield here / entry.name, below / entry.name
                    elif ending := _other_ending(entry.name):
                        self._left_out[ending] += 1
                elif not recursive or target in above or entry.name.startswith("."):
                    continue
                elif self._whole(here / entry.name):
                    yield here / entry.name, below / entry.name
                else:
                    folders.append((here / entry.name, below / entry.name, (*above, target)))
            waiting += reversed(folders)

    def _real(self, entry: os.DirEntry[str], parent: str) -> str | None:
        """Where a folder really is; None if it is not a folder."""
        if not entry.is_symlink():
            return os.path.join(parent, entry.name) if entry.is_dir() else None  # noqa: PTH118 - a str is enough
        if not os.path.isdir(entry.path):  # noqa: PTH112 - never raises
            return None
        self._links += 1
        if self._links > _MOST_LINKS:
            raise InputError(
                f"{self._text} leads over more than {_MOST_LINKS} links to folders, which multiply its "
                "files: name the folders that you mean"
            )
        return os.path.realpath(entry.path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, in order; nothing where it cannot be read, as for os.walk and shells."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _unsorted_entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What a folder holds, one by one."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        yield from entries


def _fits(pattern: Sequence[Callable[[str], object] | None], given: Sequence[str]) -> bool:
    """Whether the parts fit the pattern's, of which `_ANY` stands for any number.

    It goes back to the last `_ANY` alone, so that many of them take at most len(pattern) x len(given)
    steps.
    """
    at = here = 0
    last: tuple[int, int] | None = None
    while here < len(given):
        fits = pattern[at] if at < len(pattern) else _nothing_fits
        if fits is _ANY:
            last = at, here
            at += 1
        elif fits(given[here]):
            at, here = at + 1, here + 1
        elif last is not None:
            at, here = last[0] + 1, last[1] + 1
            last = last[0], here
        else:
            return False
    return all(part is _ANY for part in pattern[at:])


def _nothing_fits(_: str) -> bool:
    return False


def _name_fits(pattern: str) -> Callable[[str], object]:
    """Whether a name fits one part of a pattern, with `*`, `?` and `[abc]`, where a lone `[` is itself."""
    return re.compile(fnmatch.translate(pattern)).match


def _name_of(source: Path) -> str:
    """What tells one name from another: links are not followed, apart from those before `..`."""
    if ".." in source.parts:
        return os.path.join(os.path.realpath(source.parent), source.name)  # noqa: PTH118 - a str is enough
    return str(source.absolute())


def _is_image(name: str, endings: tuple[str, ...]) -> bool:
    name = name.lower()
    return name.endswith(endings) and not name.startswith(".") and not _OWN_RESULT.fullmatch(name)


def _other_ending(name: str) -> str:
    """The ending of a picture, scan or video that is not taken from folders; empty for other files."""
    name = name.lower()
    ending = os.path.splitext(name)[1]  # noqa: PTH122 - a str is enough
    ours = name.startswith(".") or _OWN_RESULT.fullmatch(name)
    return ending if ending in _LEFT_OUT and not ours else ""


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


def _with_stems(found: Sequence[tuple[Path, Path, Path]]) -> list[ImageFile]:
    """Give each (source, relative, without suffix) a unique stem, whatever its case, as file systems may."""
    short = Counter(str(plain).lower() for _, _, plain in found)
    images = []
    taken: set[str] = set()
    tried: dict[str, int] = {}  # by stem, the last number that was given: thousands may have one name
    for source, relative, plain in found:
        stem = relative if short[str(plain).lower()] > 1 else plain
        free, number = stem, tried.get(str(stem).lower(), 1)
        while str(free).lower() in taken:
            number += 1
            free = stem.with_name(f"{stem.name}-{number}")
        tried[str(stem).lower()] = number
        taken.add(str(free).lower())
        images.append(ImageFile(source, free, plain))
    return images


def _without_suffix(path: Path) -> Path:
    """The path without the last suffix, or `.nii.gz`; `..png`, whose name would be a dot, stays whole."""
    if path.name.lower().endswith(".nii.gz") and len(path.name) > 8:
        return path.with_name(path.name[:-7])
    return path.with_name(os.path.splitext(path.name)[0])  # noqa: PTH122 - Path.stem of "..png" is "."
