"""Files that are whole or not there: written beside the target, then renamed over it.

What is being written has a name of its own, `.NAME.fcn-edge-XXXXXXXX.part`, and is locked by the process that
writes it. A process that is killed leaves it behind, and the kernel takes the lock: whoever writes into that
folder next finds a part that nobody holds, and removes it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from fcn_edge_runtime.errors import ArtifactError

try:
    import fcntl
except ImportError:  # Windows: parts of killed processes stay
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "alone_in",
    "part_of",
    "read_regular",
    "remove_dead_parts",
    "require_writable",
    "write_whole",
]

_PART = re.compile(r"\..*\.fcn-edge-[0-9a-f]{8}\.part(\.\w+)?", re.DOTALL)
_PATIENCE = 5.0  # seconds that a publisher waits for another one, which needs microseconds


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
    try:
        with part_of(path) as part:
            part.write_bytes(data)
            os.replace(part, path)  # noqa: PTH105 - the atomic rename, by its own name
    except OSError as error:
        raise ArtifactError(f"{path} cannot be written ({error.strerror or error})") from None


@contextlib.contextmanager
def part_of(path: Path, *, folder: bool = False, ending: str = "") -> Iterator[Path]:
    """A new, empty file or folder beside `path`, to be filled and renamed into its place.

    At the end it is removed, unless it was renamed. While it is held, no other process takes it for dead.

    Args:
        path: where the result will go.
        folder: make a folder.
        ending: of the part's name, for writers that go by it, such as ".avi".

    Raises:
        OSError: it cannot be made.
    """
    # Without an `ending` the name ends in ".part", so that no scan for images takes it for a result.
    stem = path.stem if ending else path.name
    part, handle = path, None
    try:
        while handle is None:  # somebody who removes dead parts may come between making and holding it
            part = path.with_name(f".{stem[:100]}.fcn-edge-{secrets.token_hex(4)}.part{ending}")
            try:
                if folder:
                    part.mkdir()
                else:
                    part.touch(exist_ok=False)
            except OSError:
                part = path  # nothing was made that is ours to remove
                raise
            try:
                handle = _held(part)
            except OSError:  # a system without locks
                break
        yield part
    finally:  # also where Ctrl-C comes in the very moment it is made
        if part != path:
            with contextlib.suppress(OSError):
                _remove(part)
        if handle is not None:
            os.close(handle)


def remove_dead_parts(folder: Path) -> None:
    """Remove what killed processes left in a folder, and nothing that a living one is writing."""
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
    """Make the folder if need be, and find out now, before any work, whether files can be written there.

    Raises:
        ArtifactError: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part_of(folder / "probe"):
            pass  # the only sure way to know: permission bits do not tell for root, mounts and quotas
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArtifactError(
            f"the folder {folder} cannot be written ({reason}): choose another with -o"
        ) from None
    remove_dead_parts(folder)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep out others that publish several files which belong together, where the system can."""
    with contextlib.ExitStack() as stack:
        if fcntl is not None:
            with contextlib.suppress(OSError):
                handle = os.open(folder, os.O_RDONLY)
                stack.callback(os.close, handle)
                _wait_for(handle)
        yield


def _wait_for(handle: int) -> None:
    """Lock it, or give up on somebody who holds it for longer than anybody of ours does."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.01)


def _held(part: Path) -> int | None:
    """A descriptor that locks the part against other processes; None if it is gone, or held by another.

    Raises:
        OSError: it cannot be locked here.
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
        import shutil  # a bag's part alone needs it

        shutil.rmtree(part)
    else:
        part.unlink(missing_ok=True)
