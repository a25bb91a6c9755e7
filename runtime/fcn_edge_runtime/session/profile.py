"""A profile: the session options that `fcn-edge tune` found to pay for one model on one machine.

It stores options, not a model, and only options that cannot change where data comes from or goes to. It is
bound to the model's SHA-256, the processor and the version of onnxruntime. A profile of another model is an
error; one made on another machine, or with another onnxruntime, does no harm and is ignored with a warning.
Whoever uses one runs the model's self-test first. The file is JSON from anywhere: it is read under a size
limit and validated field by field.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, NoReturn

from fcn_edge_runtime._files import read_regular, write_whole
from fcn_edge_runtime.errors import ProfileError, UsageError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.session.cpu import processor_name
from fcn_edge_runtime.session.devices import cores, import_onnxruntime
from fcn_edge_runtime.session.session import (
    HEADS,
    MAX_SIDE,
    MAX_THREADS,
    OPTIMIZATIONS,
    Session,
    SessionOptions,
    open_session,
)

__all__ = ["Host", "Profile", "ProfileOptions", "as_profile"]

SCHEMA = "fcn-edge-profile/1"
MAX_BYTES = 1 << 16
MAX_NOTES = 200
MAX_TEXT = 300


@dataclass(frozen=True)
class ProfileOptions:
    """What a profile can choose; the defaults are those of a session without one.

    Attributes:
        device: a provider by its short name, such as "cpu"; never "auto".
        threads: threads of one operator on the CPU.
        spinning: see `SessionOptions`, as the following.
        optimization: of the graph.
        cpu_arena: keep freed memory.
        mem_pattern: plan a frame's memory once for each size.
        bf16: in OpenVINO.
        head: who makes labels of scores, "graph" or "numpy".
        size: (height, width) of the only frames that it is for; None is any.
    """

    device: str
    threads: int
    spinning: bool = SessionOptions.spinning
    optimization: str = SessionOptions.optimization
    cpu_arena: bool = SessionOptions.cpu_arena
    mem_pattern: bool = SessionOptions.mem_pattern
    bf16: bool = SessionOptions.bf16
    head: str = SessionOptions.head
    size: tuple[int, int] | None = SessionOptions.size

    def __str__(self) -> str:
        plural = "thread" if self.threads == 1 else "threads"
        return (
            f"{self.device}, {self.threads} {plural}, spinning {_on(self.spinning)}, "
            f"optimization {self.optimization}, memory arena {_on(self.cpu_arena)}, "
            f"memory pattern {_on(self.mem_pattern)}, head in {self.head}"
            f"{', bfloat16' if self.bf16 else ''}"
            f"{'' if self.size is None else ', frames of {}x{} alone'.format(*self.size)}"
        )

    @property
    def session_options(self) -> SessionOptions:
        """The same as a session takes them, beside device and threads."""
        return SessionOptions(
            optimization=self.optimization,
            cpu_arena=self.cpu_arena,
            spinning=self.spinning,
            mem_pattern=self.mem_pattern,
            bf16=self.bf16,
            head=self.head,
            size=self.size,
        )

    def open(self, model: ModelFile) -> Session:
        """A session with these options, whose `why` says so. Raises what `open_session` raises."""
        session = open_session(model, self.device, threads=self.threads, options=self.session_options)
        return replace(session, why="as the profile says")


@dataclass(frozen=True)
class Host:
    """What a measurement depends on beside the model.

    Attributes:
        processor: name and vector instructions.
        cores: that the process may use.
        onnxruntime: its version.
    """

    processor: str
    cores: int
    onnxruntime: str

    @classmethod
    def here(cls) -> Host:
        """This machine, and the installed onnxruntime.

        Raises:
            ProviderError: onnxruntime is missing.
        """
        return cls(processor_name(), cores(), str(import_onnxruntime().__version__))

    def difference(self, other: Host) -> str:
        """In words, the first thing in which the other one differs; empty if nothing does."""
        for entry in fields(self):
            own, its = getattr(self, entry.name), getattr(other, entry.name)
            if own != its:
                return f"{entry.name} {own}, here {its}"
        return ""


@dataclass(frozen=True)
class Profile:
    """ProfileOptions, what they were measured with, and what each of them bought, in words.

    Attributes:
        model: name of the model, to read.
        model_sha256: SHA-256 of the whole model file.
        host: where it was measured.
        options: what paid.
        notes: one line for each thing that was tried.
    """

    model: str
    model_sha256: str
    host: Host
    options: ProfileOptions
    notes: tuple[str, ...] = ()

    def check_model(self, digest: str) -> None:
        """Do nothing where this is the model that was measured.

        Raises:
            ProfileError: it is another one.
        """
        if digest != self.model_sha256:
            raise ProfileError(
                f"the profile is for the model {self.model!r} with SHA-256 {self.model_sha256[:16]}..., this "
                f"one has {digest[:16]}...: run `fcn-edge tune` on this model, or leave the profile out"
            )

    def usable(self, digest: str, device: str, threads: int | None, options: SessionOptions | None) -> bool:
        """Whether it was made here, for this model; with a warning where it was made elsewhere.

        Args:
            digest: of the model.
            device: as asked for beside the profile, like the following: "auto" leaves it to the profile.
            threads: None leaves them to the profile.
            options: the same.

        Raises:
            ProfileError: it was made for another model.
            UsageError: what it says is given, too.
        """
        self.check_model(digest)
        named = str(device).strip().lower().removesuffix("executionprovider")
        if threads is not None or options is not None or named not in ("auto", self.options.device.lower()):
            raise UsageError(
                f"the profile says {self.options.device} and {self.options.threads} threads, and device, "
                "threads or options are given, too: give one or the other"
            )
        difference = self.host.difference(Host.here())
        if difference:
            warnings.warn(
                f"the profile is ignored, it was made elsewhere ({difference}): run `fcn-edge tune` here",
                stacklevel=3,
            )
        return not difference

    def to_json(self) -> str:
        """Indented JSON, for people to read, too."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2, ensure_ascii=True) + "\n"

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            ArtifactError: it cannot be written; what was there before is untouched.
        """
        write_whole(path, self.to_json().encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Profile:
        """Read and validate a file.

        Raises:
            ProfileError: it is missing, not a regular file, too large, or no profile.
        """
        name = os.fspath(path)
        try:
            data = read_regular(path, MAX_BYTES)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ProfileError(f"the profile {name!r} cannot be read ({reason})") from None
        return cls.from_json(data)

    @classmethod
    def from_json(cls, text: str | bytes) -> Profile:
        """Validate a profile field by field.

        Raises:
            ProfileError: it is none; the message names the field, got and expected.
        """
        if len(text) > MAX_BYTES:
            raise ProfileError(f"the profile has {len(text)} bytes, at most {MAX_BYTES} are read")
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ProfileError(f"the profile is no JSON ({error}): run `fcn-edge tune` again") from None
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            _refuse("schema", data.get("schema") if isinstance(data, dict) else data, repr(SCHEMA))
        _only(data, "", ("schema", *(entry.name for entry in fields(cls))))
        return cls(
            model=_text(data, "model"),
            model_sha256=_digest(data, "model_sha256"),
            host=_host(data.get("host")),
            options=_options(data.get("options")),
            notes=_notes(data.get("notes")),
        )


def _on(wanted: bool) -> str:  # noqa: FBT001 - a word for a truth value
    return "on" if wanted else "off"


def as_profile(given: Profile | str | os.PathLike[str]) -> Profile:
    """A profile as it is, or the one that a path names. Raises what `Profile.load` raises."""
    return given if isinstance(given, Profile) else Profile.load(given)


def _refuse(where: str, got: object, expected: str) -> NoReturn:
    shown = repr(got)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    raise ProfileError(
        f"the profile's field {where!r} is {shown}, expected {expected}: run `fcn-edge tune` again"
    )


def _only(data: Mapping[str, Any], where: str, known: tuple[str, ...]) -> None:
    """An option that this release does not know would be ignored in silence: it is refused."""
    for key in data:
        if key not in known:
            _refuse(f"{where}{key}", data[key], f"none but {', '.join(known)}")


def _object(data: object, where: str, of: type) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        _refuse(where, data, "an object")
    _only(data, f"{where}.", tuple(entry.name for entry in fields(of)))
    return data


def _host(data: object) -> Host:
    found = _object(data, "host", Host)
    return Host(
        _text(found, "processor", "host."),
        _whole(found, "cores", "host.", 1 << 20),
        _text(found, "onnxruntime", "host."),
    )


def _options(data: object) -> ProfileOptions:
    found = _object(data, "options", ProfileOptions)
    device = _text(found, "device", "options.")
    if device.strip().lower() == "auto":
        _refuse("options.device", device, "the device that was measured")
    optimization = found.get("optimization")
    if optimization not in OPTIMIZATIONS:
        _refuse("options.optimization", optimization, f"one of {', '.join(OPTIMIZATIONS)}")
    found = {"head": "graph", "bf16": False, "size": None, **found}  # profiles made before there was a choice
    head = found["head"]
    if head not in HEADS:
        _refuse("options.head", head, f"one of {', '.join(HEADS)}")
    return ProfileOptions(
        device=device,
        threads=_whole(found, "threads", "options.", MAX_THREADS),
        spinning=_boolean(found, "spinning"),
        optimization=str(optimization),
        cpu_arena=_boolean(found, "cpu_arena"),
        mem_pattern=_boolean(found, "mem_pattern"),
        bf16=_boolean(found, "bf16"),
        head=str(head),
        size=_size(found["size"]),
    )


def _size(data: object) -> tuple[int, int] | None:
    if data is None:
        return None
    if not isinstance(data, list) or len(data) != 2:
        _refuse("options.size", data, "null or [height, width]")
    height, width = (_whole({str(i): side}, str(i), "options.size.", MAX_SIDE) for i, side in enumerate(data))
    return height, width


def _notes(data: object) -> tuple[str, ...]:
    if not isinstance(data, list) or len(data) > MAX_NOTES:
        _refuse("notes", data, f"a list of at most {MAX_NOTES}")
    return tuple(_text({str(i): note}, str(i), "notes.") for i, note in enumerate(data))


def _text(data: Mapping[str, Any], key: str, where: str = "") -> str:
    """Text that a terminal may be shown."""
    value = data.get(key)
    if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_TEXT:
        _refuse(f"{where}{key}", value, f"printable text of at most {MAX_TEXT} characters")
    return value


def _digest(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        _refuse(key, value, "64 lower-case hex digits")
    return value


def _whole(data: Mapping[str, Any], key: str, where: str, high: int) -> int:
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
        _refuse(f"{where}{key}", value, f"a whole number from 1 to {high}")
    return value


def _boolean(data: Mapping[str, Any], key: str) -> bool:
    value = data.get(key)
    if not isinstance(value, bool):
        _refuse(f"options.{key}", value, "true or false")
    return value
