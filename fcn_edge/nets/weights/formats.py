"""What kind of weights file this is, detected from its bytes before anything is loaded.

Programs (TorchScript, `.pt2`), files of other formats and archives that declare more than they hold are
refused after reading only a few bytes and a table of contents.
"""

from __future__ import annotations

import io
import re
import zipfile
from enum import Enum
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from fcn_edge.nets.weights.pickles import ForeignPickleError, check_pickles
from fcn_edge_runtime.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Kind", "identify"]

# The JSON before the tensors: some 100 bytes a tensor, so that this is 40,000 of them.
_LARGEST_HEADER = 4 << 20
# The table of contents of an archive: some 80 bytes a tensor.
_LARGEST_TABLE = 4 << 20
# Members of an archive besides the tensors, which torch reads whole.
_LARGEST_OTHER = 16 << 20
_LONGEST_NAME = 120  # characters
_LONGEST_END = 22 + 65535 + 76  # bytes: the last record of an archive, its comment, and those of zip64
# torch.save's own first pickle, protocol 2: the number 0x1950a86a20f9469cfc6c.
_LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_FOREIGN = (
    (b"<", "a web page: the download got a login or an error page"),
    (b"version https://git-lfs", "a Git LFS pointer, not weights: run `git lfs pull`"),
    (b"\x89HDF", "HDF5 (Keras): convert it to safetensors"),
    (b"\x1f\x8b", "gzip: unpack it first"),
    (
        b"\x80",
        "a pickle that torch.save did not write: save the state_dict with torch.save or as safetensors",
    ),
)
_SAVE_INSTEAD = "torch.save(net.state_dict(), 'weights.pth')"


class Kind(Enum):
    """The three formats that hold only tensors."""

    SAFETENSORS = "safetensors"
    TORCH_ZIP = "torch.save archive"
    TORCH_LEGACY = "torch.save stream (before torch 1.6)"


def identify(path: Path) -> Kind:
    """The kind of the file at `path`.

    Raises:
        CheckpointError: the file is missing, empty, truncated, of another format, a program, or an archive
            with impossible sizes.
    """
    try:
        size = _size_of_file(path)
        with path.open("rb") as file:
            head = file.read(32)
    except OSError as error:
        raise CheckpointError(
            f"weights {str(path)[:200]} cannot be read ({error.strerror or error})"
        ) from None
    if path.suffix.lower() == ".pt2":
        raise CheckpointError(
            f"weights {path.name}: .pt2 is a program, not weights; keep its tensors: {_SAVE_INSTEAD}"
        )
    if not head:
        raise CheckpointError(f"weights {path.name}: the file is empty; copy or download it again")
    if path.suffix.lower() == ".safetensors" or _looks_like_safetensors(head, size):
        _check_safetensors(path, head, size)
        return Kind.SAFETENSORS
    if head.startswith(b"PK\x03\x04"):
        _check_zip(path, size)
        return Kind.TORCH_ZIP
    if head.startswith(_LEGACY_START):
        with path.open("rb") as file:
            # Magic number, version, system, content, keys of the storages.
            _check_pickles(file, 5, path, size)
        return Kind.TORCH_LEGACY
    reason = next((reason for start, reason in _FOREIGN if head.startswith(start)), "of an unknown format")
    raise CheckpointError(f"weights {path.name}: expected PyTorch or safetensors, got {reason}")


def _size_of_file(path: Path) -> int:
    if not path.is_file():  # reading a pipe or a device would block
        found = "it is a folder" if path.is_dir() else "there is no such file"
        raise CheckpointError(f"weights {path}: {found}; expected a .safetensors, .pth or .pt file")
    return path.stat().st_size


def _looks_like_safetensors(head: bytes, size: int) -> bool:
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8


def _check_safetensors(path: Path, head: bytes, size: int) -> None:
    """The format begins with the length of its JSON header: 8 bytes, little-endian."""
    declared = int.from_bytes(head[:8], "little")
    if head[8:9] != b"{":
        held = "a torch.save archive" if head.startswith((b"PK", b"\x80")) else "something else"
        raise CheckpointError(
            f"weights {path.name}: named .safetensors but holds {held}; give it the suffix of its format"
        )
    if declared > min(size - 8, _LARGEST_HEADER):
        raise CheckpointError(
            f"weights {path.name}: declares a header of {declared:,} bytes in a file of {size:,}, "
            f"expected at most {_LARGEST_HEADER:,}; it is truncated or damaged: copy or download it again"
        )


def _check_zip(path: Path, size: int) -> None:
    _check_table(path, size)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError) as error:
        # The table of contents is at the end, so a truncated file has none.
        raise CheckpointError(
            f"weights {path.name}: the archive is truncated or damaged ({error}); copy or download it again"
        ) from error
    # The first folder has the name of the file that was saved, so it is ignored.
    inside = {str(PurePosixPath(*PurePosixPath(member.filename).parts[1:])) for member in members}
    flat = {member.filename for member in members}
    if "constants.pkl" in inside or any(re.match(r"code/", name) for name in inside):
        raise CheckpointError(
            f"weights {path.name}: TorchScript is a program, not weights; keep its tensors: {_SAVE_INSTEAD}"
        )
    if "archive_format" in inside | flat or any("exported_program" in name for name in flat):
        raise CheckpointError(
            f"weights {path.name}: an exported program, not weights; keep its tensors: {_SAVE_INSTEAD}"
        )
    if "data.pkl" not in inside:
        raise CheckpointError(
            f"weights {path.name}: a zip file that torch.save did not write; expected {_SAVE_INSTEAD}"
        )
    # torch.save never compresses. A compressed archive comes from another program, or is a zip bomb.
    packed = [member for member in members if member.compress_type != zipfile.ZIP_STORED]
    packed += [member for member in members if member.file_size != member.compress_size]
    if packed:
        worst = max(packed, key=lambda member: member.file_size)
        raise CheckpointError(
            f"weights {path.name}: {worst.filename} declares {worst.file_size:,} bytes in "
            f"{worst.compress_size:,} stored, and torch.save does not compress; expected {_SAVE_INSTEAD}"
        )
    declared = sum(member.file_size for member in members)
    if declared > size:
        raise CheckpointError(
            f"weights {path.name}: declares {declared:,} bytes in a file of {size:,}; it is damaged: "
            "copy or download it again"
        )
    if len(flat) != len(members):
        raise CheckpointError(
            f"weights {path.name}: two files with one name in the archive; expected {_SAVE_INSTEAD}"
        )
    for member in members:
        if member.file_size > _LARGEST_OTHER and "/data/" not in member.filename:
            raise CheckpointError(
                f"weights {path.name}: {member.filename[:_LONGEST_NAME]} has {member.file_size:,} bytes, "
                f"expected at most {_LARGEST_OTHER:,} beside the tensors; expected {_SAVE_INSTEAD}"
            )
    _check_members(path, members, size)


def _check_table(path: Path, size: int) -> None:
    """Refuse an archive with more members than tensors need, before each becomes an object of Python's."""
    with path.open("rb") as file:
        file.seek(max(0, size - _LONGEST_END))
        end = file.read()
    at = end.rfind(b"PK\x05\x06")
    declared = int.from_bytes(end[at + 12 : at + 16], "little") if at >= 0 else 0
    if declared == 0xFFFFFFFF:  # its size is in the record of 56 bytes before the locator of 20 bytes
        record = end[max(0, at - 76) : at]
        declared = int.from_bytes(record[40:48], "little")
    if declared > _LARGEST_TABLE:
        raise CheckpointError(
            f"weights {path.name}: the archive's table of contents has {declared:,} bytes, expected at most "
            f"{_LARGEST_TABLE:,}; expected {_SAVE_INSTEAD}"
        )


def _check_members(path: Path, members: list[zipfile.ZipInfo], size: int) -> None:
    """Compare members with their CRC-32, which torch does not do for mapped files, and check the pickle."""
    with zipfile.ZipFile(path) as archive:
        try:
            damaged = archive.testzip()
        except (zipfile.BadZipFile, OSError, ValueError, EOFError, RuntimeError) as error:
            damaged = str(error)
        if damaged is not None:
            raise CheckpointError(
                f"weights {path.name}: the archive is damaged at {damaged}: copy or download it again"
            )
        places = [(PurePosixPath(member.filename), member) for member in members]
        records = {place.name: member.file_size for place, member in places if place.parent.name == "data"}
        for place, member in places:
            if place.name == "data.pkl":
                _check_pickles(io.BytesIO(archive.read(member)), 1, path, size, records)


def _check_pickles(
    stream: IO[bytes], count: int, path: Path, size: int, records: Mapping[str, int] | None = None
) -> None:
    try:
        check_pickles(stream, count, size, records)
    except ForeignPickleError as error:
        if error.names:
            raise CheckpointError(
                f"weights {path.name}: holds {error.names[:_LONGEST_NAME]}, which is not a dense tensor "
                f"of numbers, so it was not loaded; if you trust the file, save its tensors: {_SAVE_INSTEAD}"
            ) from None
        raise CheckpointError(f"weights {path.name}: {error}; expected {_SAVE_INSTEAD}") from None
    except Exception as error:  # damage raises whatever it leads to
        reason = str(error)[:_LONGEST_NAME] or type(error).__name__
        raise CheckpointError(
            f"weights {path.name}: its pickle is truncated or damaged ({reason}): copy or download it again"
        ) from error
