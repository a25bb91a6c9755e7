"""A weights file from the web: fetched once, checked against its SHA-256, kept in a cache."""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fcn_edge._cache import cache_folder
from fcn_edge.nets.weights.connection import Patience, Watch, opener
from fcn_edge_runtime._files import part_of, place, remove_dead_parts
from fcn_edge_runtime.errors import CheckpointError, UsageError
from fcn_edge_runtime.progress import SILENT, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WeightsUrl", "check_hash", "fetch", "parse_url"]

_CHUNK = 1 << 20
_SECONDS = 30.0
_LARGEST = 8 << 30
_FULL_HASH = 64
# Servers whose files are named by the first digits of their hash, as torchvision's are. Anyone can make
# another file with the same 32 bits: they are taken from these servers alone, over https.
_SHORT_HASHES = ("download.pytorch.org",)


@dataclass(frozen=True)
class WeightsUrl:
    """A file on the web and its expected hash.

    Attributes:
        url: what is requested, without fragment.
        sha256: lower-case hex digits that the file's SHA-256 begins with: all 64, or from torchvision's own
            server the 8 that it puts in names.
        file_name: the file's name in the cache.
    """

    url: str
    sha256: str
    file_name: str

    @property
    def matched(self) -> str:
        """What a match with the hash means, in words."""
        if len(self.sha256) == _FULL_HASH:
            return "SHA-256 matches"
        return f"matches the short hash in its name ({4 * len(self.sha256)} bits)"

    @property
    def shown(self) -> str:
        """The address without its secrets: user, password and query."""
        parts = urllib.parse.urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


def parse_url(url: str, sha256: str | None = None) -> WeightsUrl:
    """The source of `url`; its hash is `sha256`, in the fragment `#sha256=HEX`, or in the name `-HEX.pth`.

    Raises:
        UsageError: not http or https, or no whole hash to check the file against.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port  # raises where it is not a number
    except ValueError as error:
        raise UsageError(f"{url!r} is not a valid URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"weights are fetched only over http or https, got {parts.scheme}://{parts.hostname or ''}"
        )
    name = (
        re.sub(r"[^\w.-]", "_", urllib.parse.unquote(parts.path.rpartition("/")[2])).lstrip(".") or "weights"
    )
    in_name = re.search(r"-([0-9a-f]{8,64})\.", name)
    given = (sha256 or parts.fragment.partition("sha256=")[2]).lower()
    wanted = given or (in_name[1] if in_name else "")
    if given and not re.fullmatch(r"[0-9a-f]{64}", given):
        raise UsageError(f"the SHA-256 of {name} has {len(given)} characters, expected 64 hex digits")
    short_is_enough = parts.scheme == "https" and parts.hostname in _SHORT_HASHES
    if len(wanted) < _FULL_HASH and not (wanted and short_is_enough):
        found = f"only {len(wanted)} hex digits of" if wanted else "no"
        raise UsageError(
            f"{name} has {found} SHA-256 to check it against, expected 64 digits: add --sha256 HEX, or "
            "#sha256=HEX to the URL, from `sha256sum` of a copy you trust"
        )
    if f"-{wanted[:8]}" not in name:
        stem, dot, suffix = name.rpartition(".")
        name = f"{stem}-{wanted[:8]}.{suffix}" if dot else f"{name}-{wanted[:8]}"
    return WeightsUrl(urllib.parse.urlunsplit(parts._replace(fragment="")), wanted, name)


def fetch(
    source: WeightsUrl,
    progress: Progress | None = None,
    largest: int = _LARGEST,
    patience: Patience = Patience(),  # noqa: B008 - frozen
) -> Path:
    """The file of `source` in the cache, downloaded if it is not there; its hash is checked either way.

    Args:
        source: what to fetch.
        progress: receives the download, in bytes, as one stage; nothing if the file is in the cache.
        largest: in bytes; a longer file is refused.
        patience: how slow the server may be.

    Raises:
        CheckpointError: no connection, a server's refusal or slowness, a download truncated, too long, or
            with another hash. No new file is left, and an existing one stays.
    """
    path = cache_folder() / source.file_name
    if path.is_file() and _hash(path).startswith(source.sha256):
        return path

    def refusal(reason: str) -> CheckpointError:
        return CheckpointError(
            f"the cache {path.parent} cannot be written ({reason}): name another in FCN_EDGE_CACHE"
        )

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refusal(error.strerror or str(error)) from error
    with part_of(path, refusal=refusal) as part:
        remove_dead_parts(path.parent)
        _fetch_into(part, source, path, progress or SILENT, largest, patience)
    return path


def check_hash(path: Path, sha256: str) -> None:
    """Check a file of the user's.

    Raises:
        CheckpointError: it has another SHA-256, or cannot be read.
    """
    try:
        got = _hash(path) if path.is_file() else ""
    except OSError as error:
        raise CheckpointError(f"weights {path} cannot be read ({error.strerror or error})") from None
    if got and got != sha256.lower():
        raise CheckpointError(
            f"weights {path.name} have SHA-256 {got}, expected {sha256.lower()}: the file was changed, or "
            "the hash is wrong"
        )


def _fetch_into(
    part: Path,
    source: WeightsUrl,
    path: Path,
    progress: Progress,
    largest: int,
    patience: Patience,
) -> None:
    """Download into the part, and rename it to `path` if its hash is right."""
    try:
        with part.open("wb") as file:
            _download(source, file.write, progress, largest, patience)
        got = _hash(part)
        if not got.startswith(source.sha256):
            shown = got if len(source.sha256) == _FULL_HASH else got[: len(source.sha256)]
            raise CheckpointError(
                f"{source.shown} has SHA-256 {shown}, expected {source.sha256}; "
                "the file was changed, or the hash is wrong"
            )
        place((part, path))
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: an address that is none
        raise CheckpointError(
            f"{source.shown} could not be fetched ({_reason(error)}); offline, place the file at {path}"
        ) from error


def _download(
    source: WeightsUrl,
    write: Callable[[bytes], object],
    progress: Progress,
    largest: int,
    patience: Patience,
) -> None:
    request = urllib.request.Request(  # noqa: S310 - parse_url lets nothing but http and https through
        source.url, headers={"User-Agent": "fcn-edge"}
    )
    with Watch(patience) as watch:
        try:
            response = opener(watch).open(request, timeout=_SECONDS)
        except (OSError, http.client.HTTPException, ValueError):
            watch.check()  # the better reason
            raise
        with response:
            watch.answered()
            length = response.headers.get("Content-Length") or ""
            total = int(length) if re.fullmatch(r"[0-9]{1,30}", length) else None
            progress.start("fetch", total, "B")
            done = 0
            while True:
                if max(done, total or 0) > largest:
                    raise CheckpointError(f"{source.shown} is longer than {largest:,} bytes, the limit")
                chunk = response.read1(_CHUNK)
                if not chunk:
                    break
                write(chunk)
                done += len(chunk)
                watch.advance(done)
                progress.advance(done)
        watch.check()
    if total is not None and done != total:
        raise CheckpointError(f"{source.shown} was cut off after {done:,} of {total:,} bytes; try again")
    progress.finish(
        f"{done / 1e6:.1f} MB from {urllib.parse.urlsplit(source.url).hostname}, {source.matched}"
    )


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(getattr(error.reason, "strerror", None) or error.reason)
    if isinstance(error, ValueError):
        return f"it leads to an address that is not valid: {error}"
    if isinstance(error, TimeoutError):
        return f"no answer for {_SECONDS:.0f} s"
    return str(error) or type(error).__name__
