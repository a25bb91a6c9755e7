"""Files that are whole or not there: written beside the target, synced, then renamed over it.

What is being written has a name of its own, `.NAME.fcn-edge-XXXXXXXX.part`, and is locked by the process that
writes it. A process that is killed leaves it behind, and the kernel releases the lock: the next
process that writes into that folder finds an unlocked part and removes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fcn_edge_runtime.errors import ArtifactError

try:
    import fcntl
except ImportError:  # Windows: parts of killed processes stay
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "alone_in",
    "disk_failed",
    "part_of",
    "place",
    "read_regular",
    "remove_dead_parts",
    "require_writable",
    "sync",
    "write_whole",
    "writer_of_many",
]

_PART = re.compile(r"\..*\.fcn-edge-[0-9a-f]{8}\.part(\.\w+)?", re.DOTALL)
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
_SYNCED_AT_ONCE = 16  # files
_PATIENCE = 5.0  # seconds that a publisher waits for another one, which needs microseconds


def read_regular(path: str | os.PathLike[str], limit: int) -> bytes:
    """The bytes of a small file. A pipe or a device is refused without opening it, so nothing hangs.

    Raises:
        OSError: it is missing, or cannot be read.
        ValueError: it is not a regular file, or has more bytes than the limit.
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

    When it returns, the file is on disk.

    Raises:
        ArtifactError: it cannot be written; what was there before is untouched.
    """
    _write(path, data, place)


@contextlib.contextmanager
def writer_of_many() -> Iterator[Callable[[Path, bytes], None]]:
    """A `write_whole` for the many small files of one block, which are on disk when the block ends.

    Each is whole or not there whenever the process is interrupted. A power cut before the end of the block
    may empty files that were written in it. The reason is speed: `fcn-edge run` on 40 images of 320x240, 120
    files, takes 1.17 times as long with a sync for each file, and 1.03 times as long with all of them synced
    together at the end (160x120: 1.24 and 1.05; medians of 20 alternating runs on ext4; on a busy disk a sync
    for each file doubles the time).

    Raises:
        ArtifactError: a file cannot be written, or the disk fails at the end.
    """
    written: list[Path] = []

    def write(path: Path, data: bytes) -> None:
        _write(path, data, lambda move: os.replace(*move))  # noqa: PTH105 - the atomic rename, by its own name
        written.append(path)

    yield write
    _sync_together(written)


def _write(path: Path, data: bytes, put: Callable[[tuple[Path, Path]], None]) -> None:
    try:
        with part_of(path) as part:
            part.write_bytes(data)
            put((part, path))
    except OSError as error:
        raise ArtifactError(f"{path} cannot be written ({error.strerror or error})") from error


def disk_failed(error: ArtifactError) -> bool:
    """Whether a file could not be written because of the disk or a limit, which others will meet, too."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _OF_THE_DISK


def _sync_together(paths: Sequence[Path]) -> None:
    """Sync many files at once: the file system then writes all pending data together."""
    from concurrent.futures import ThreadPoolExecutor

    def one(path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):  # removed by the user meanwhile
            sync(path)

    try:
        with ThreadPoolExecutor(_SYNCED_AT_ONCE) as pool:
            list(pool.map(one, paths))
    except OSError as error:
        raise ArtifactError(f"the results cannot be written ({error.strerror or error})") from None
    for folder in {path.parent for path in paths}:
        _sync_folder(folder)


def place(*moves: tuple[Path, Path]) -> None:
    """Rename finished parts to their paths so that a power cut leaves the old file or the new one, whole.

    The data of all parts is on disk before the first is renamed, and the names are on disk when this returns,
    where the system can.

    Args:
        moves: pairs of a part and its final path, in the same folder; renamed in this order. A file that is
            at the final path is replaced.

    Raises:
        OSError: the disk is full or fails, or a path cannot be replaced.
    """
    for part, _ in moves:
        sync(part)
    for part, path in moves:
        os.replace(part, path)  # noqa: PTH105 - the atomic rename, by its own name
    for folder in {path.parent for _, path in moves}:
        _sync_folder(folder)


def sync(path: Path) -> None:
    """Return when a file, or a folder with all that is in it, is on disk.

    Raises:
        OSError: the disk is full or fails.
    """
    if path.is_dir():
        for inside in path.iterdir():
            sync(inside)
        _sync_folder(path)
        return
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())


@contextlib.contextmanager
def part_of(
    path: Path,
    *,
    folder: bool = False,
    ending: str = "",
    refusal: Callable[[str], Exception] | None = None,
) -> Iterator[Path]:
    """A new, empty file or folder beside `path`, to be filled and then put there by `place`.

    It is removed at the end, unless it was renamed, also where Ctrl-C comes while it is made or removed. As
    long as the block runs, it is locked, so that no other process removes it as a leftover.

    Use it in a `with` statement of its own: an ExitStack may lose it where Ctrl-C comes between its making
    and its registration.

    Args:
        path: where the result will go.
        folder: make a folder.
        ending: of the part's name, for writers that go by it, such as ".avi".
        refusal: makes the error to raise from the reason why a part cannot be made.

    Raises:
        OSError: it cannot be made, and there is no `refusal`.
    """
    # Without an `ending` the name ends in ".part", so that no scan for images takes it for a result.
    stem = path.stem if ending else path.name
    # File systems count bytes, up to 255 of them.
    short = os.fsencode(stem)[:100].decode("utf-8", "ignore")

    def some_name() -> Path:
        return path.with_name(f".{short}.fcn-edge-{secrets.token_hex(4)}.part{ending}")

    part = _Part()
    try:
        try:
            part.make(some_name, folder=folder)
        except OSError as error:
            if refusal is None:
                raise
            raise refusal(error.strerror or str(error)) from None
        yield part.path
    finally:
        try:
            part.end()
        except BaseException:  # Ctrl-C in the midst of it
            part.end()
            raise


class _Part:
    """What `part_of` makes and removes; it exists before anything is made, and `end` may be called again."""

    def __init__(self) -> None:
        self.path = Path()
        self._made = False
        self._lock: int | None = None

    def make(self, some_name: Callable[[], Path], *, folder: bool) -> None:
        while self._lock is None:  # a process that removes leftovers may come between making and locking it
            self.path, self._made = some_name(), True
            try:
                if folder:
                    self.path.mkdir()
                else:
                    self.path.touch(exist_ok=False)
            except OSError:
                self._made = False  # another process has a file of that name
                raise
            try:
                self._lock = _held(self.path)
            except OSError:  # a system without locks
                return

    def end(self) -> None:
        if self._made:
            with contextlib.suppress(OSError):
                _remove(self.path)
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def remove_dead_parts(folder: Path) -> None:
    """Remove what killed processes left in a folder, and nothing that a running one is writing."""
    with contextlib.suppress(OSError):
        for part in [path for path in folder.iterdir() if _PART.fullmatch(path.name)]:
            with contextlib.suppress(OSError):
                handle = _held(part)
                if handle is not None:
                    try:
                        _remove(part)
                    finally:
                        os.close(handle)


def require_writable(folder: Path) -> None:
    """Make the folder if needed, and find out now, before any work, whether files can be written there.

    Raises:
        ArtifactError: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part_of(folder / "probe"):
            pass  # the only sure way to know: permission bits say nothing about root, mounts and quotas
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArtifactError(
            f"the folder {folder} cannot be written ({reason}): choose another with -o"
        ) from None
    remove_dead_parts(folder)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep out others that publish several files which belong together, where the system can."""
    handle = None
    try:
        if fcntl is not None:
            with contextlib.suppress(OSError):
                handle = os.open(folder, os.O_RDONLY)
                _wait_for(handle)
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _wait_for(handle: int) -> None:
    """Lock it, or give up on a process that holds it for longer than any of ours does."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.01)


def _held(part: Path) -> int | None:
    """A descriptor that locks the part against other processes; None if it is gone, or held by another.

    Raises:
        OSError: this system cannot lock it.
    """
    if fcntl is None:
        raise OSError("no locks on this system")
    handle = None
    try:
        handle = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), part.lstat()):
            mine, handle = handle, None
            return mine
    except (BlockingIOError, FileNotFoundError):
        pass
    finally:
        if handle is not None:
            os.close(handle)
    return None


def _remove(part: Path) -> None:
    if part.is_dir():
        import shutil  # only a bag's part needs it

        shutil.rmtree(part)
    else:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Sync the entries of a folder, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
