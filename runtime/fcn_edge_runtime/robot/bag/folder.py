"""Bag folders of rosbag2: metadata.yaml names the files, which are read one after the other."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from fcn_edge_runtime._files import read_regular
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.robot.bag.channels import BagFile, Channel
from fcn_edge_runtime.robot.bag.inflating import WINDOW, largest, unpack

__all__ = ["METADATA", "open_folder"]

METADATA = "metadata.yaml"
_MOST_METADATA = 1 << 20  # bytes: some 3,000 files or topics
_PART = 1 << 20


@dataclass(frozen=True)
class _Metadata:
    files: tuple[str, ...]
    storage: str
    compression: str
    messages: int


class _Folder:
    """Several files as one; channels are numbered anew."""

    def __init__(self, files: Sequence[BagFile], metadata: _Metadata) -> None:
        self._zstd = metadata.compression == "message"
        self._parts: list[tuple[BagFile, dict[int, Channel]]] = []
        number = 0
        for file in files:
            numbered = {}
            for channel in file.channels:
                number += 1
                numbered[channel.id] = replace(channel, id=number)
            self._parts.append((file, numbered))
        self.channels = tuple(channel for _, numbered in self._parts for channel in numbered.values())
        self.start = min((file.start for file in files if file.start is not None), default=None)
        found = sum(channel.messages for channel in self.channels)
        if found < metadata.messages:
            raise InputError(
                f"the files of the bag hold {found} of the {metadata.messages} messages "
                f"that {METADATA} declares: copy the bag again, "
                "or run `ros2 bag reindex` on it to do without the others"
            )

    def messages(
        self, channels: Sequence[Channel], start: int | None, stop: int | None
    ) -> Iterator[tuple[Channel, int, bytes]]:
        wanted = {channel.id for channel in channels}
        for file, numbered in self._parts:
            chosen = [channel for channel in file.channels if numbered[channel.id].id in wanted]
            if chosen:
                for channel, moment, data in file.messages(chosen, start, stop):
                    yield numbered[channel.id], moment, unpack("zstd", data) if self._zstd else data


@contextlib.contextmanager
def open_folder(
    path: Path, openers: dict[str, Callable[[Path], AbstractContextManager[BagFile]]]
) -> Iterator[_Folder]:
    """Open a folder with metadata.yaml.

    Args:
        path: the folder.
        openers: by storage, such as "mcap".

    Raises:
        InputError: a file is missing, or the storage or compression is not known.
    """
    metadata = _read_metadata(path / METADATA)
    if metadata.storage not in openers:
        raise InputError(
            f"the bag {path} is stored as {metadata.storage!r}, expected {' or '.join(openers)}: "
            "convert it with `ros2 bag convert`"
        )
    paths = [path / PurePosixPath(name).name for name in metadata.files]
    if missing := [file.name for file in paths if not file.is_file()]:
        raise InputError(
            f"the bag {path} lacks {len(missing)} of its {len(paths)} files ({missing[0]}): copy it again, "
            "or run `ros2 bag reindex` on it to do without"
        )
    with contextlib.ExitStack() as stack:
        if metadata.compression == "file":
            inflated = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fcn-edge-")))
            paths = [
                _inflated_file(file, inflated / f"{i}.{metadata.storage}") for i, file in enumerate(paths)
            ]
        files = [stack.enter_context(openers[metadata.storage](file)) for file in paths]
        yield _Folder(files, metadata)


def _read_metadata(path: Path) -> _Metadata:
    from ruamel.yaml import YAML

    text = read_regular(path, _MOST_METADATA).decode("utf-8")
    known: Any = YAML(typ="safe", pure=False).load(text)["rosbag2_bagfile_information"]
    compression = (known.get("compression_mode") or "none").lower()
    kind = known.get("compression_format") or ""
    if compression != "none" and (compression not in {"file", "message"} or kind != "zstd"):
        raise InputError(
            f"the bag {path.parent} is compressed by {kind!r} ({compression}), expected zstd: "
            "convert it with `ros2 bag convert`"
        )
    files = tuple(map(str, known["relative_file_paths"]))
    if len(set(files)) != len(files):
        raise InputError(f"{path} names a file twice: run `ros2 bag reindex` on the bag")
    return _Metadata(
        files,
        known["storage_identifier"],
        compression,
        int(known.get("message_count") or 0),
    )


def _inflated_file(path: Path, out: Path) -> Path:
    import zstandard

    most, done = largest(path.stat().st_size), 0
    with path.open("rb") as packed, out.open("wb") as stream:
        reader = zstandard.ZstdDecompressor(max_window_size=WINDOW).stream_reader(packed)
        while part := reader.read(_PART):
            done += len(part)
            if done > most:
                raise InputError(
                    f"{path} becomes more than {most:,} bytes, 32 MB and 20 times its size: unpack it "
                    "yourself"
                )
            stream.write(part)
    return out
