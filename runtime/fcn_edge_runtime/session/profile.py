"""A profile: the session options that `fcn-edge tune` measured as fastest for one model on one machine.

It stores options, not a model, and only options that cannot change where data comes from or goes to. It is
bound to the model's SHA-256, the processor and the version of onnxruntime. A profile of another model is an
error; one made on another machine, or with another onnxruntime, is harmless and ignored with a warning. The
model's self-test runs before a profile is used. The file may come from anywhere: it is read under a size
limit and validated field by field.
"""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from fcn_edge_runtime._fields import Fields, Key
from fcn_edge_runtime._files import read_regular, require_writable, write_whole
from fcn_edge_runtime.errors import ArtifactError, ProfileError, UsageError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.session.config import OPTIMIZATIONS
from fcn_edge_runtime.session.cpu import processor_name
from fcn_edge_runtime.session.devices import cores, import_onnxruntime
from fcn_edge_runtime.session.session import (
    HEADS,
    MAX_FIXED_PIXELS,
    MAX_SIDE,
    MAX_THREADS,
    Session,
    SessionOptions,
    open_session,
)

__all__ = ["Host", "Profile", "ProfileOptions", "as_profile", "require_profile_place"]

SCHEMA = "fcn-edge-profile/1"
MAX_BYTES = 1 << 16
MAX_NOTES = 200
MAX_TEXT = 300
MAX_CORES = 1 << 20


@dataclass(frozen=True)
class ProfileOptions:
    """What a profile can choose: nothing is left open.

    Attributes:
        device: a provider by its short name, such as "cpu"; never "auto".
        threads: threads of one operator on the CPU.
        spinning: see `SessionOptions`, as the following.
        optimization: of the graph.
        cpu_arena: keep freed memory.
        mem_pattern: plan a frame's memory once for each size.
        bf16: in OpenVINO.
        head: what computes labels from logits, "graph" or "numpy".
        size: (height, width) of the only frames it is for; None is any size.
    """

    device: str
    threads: int
    spinning: bool = False
    optimization: str = SessionOptions.optimization
    cpu_arena: bool = SessionOptions.cpu_arena
    mem_pattern: bool = SessionOptions.mem_pattern
    bf16: bool = False
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
        """A session with these options; its `why` names the profile. Raises what `open_session` raises."""
        session = open_session(model, self.device, threads=self.threads, options=self.session_options)
        return replace(session, why="from the profile")


@dataclass(frozen=True)
class Host:
    """What a measurement depends on besides the model.

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
        """The first thing in which the other one differs, in words; empty if they are equal."""
        for entry in fields(self):
            own, its = getattr(self, entry.name), getattr(other, entry.name)
            if own != its:
                return f"{entry.name} {own}, here {its}"
        return ""


@dataclass(frozen=True)
class Profile:
    """Options, what they were measured on, and what was tried to find them, in words.

    Attributes:
        model: its name, for people.
        model_sha256: SHA-256 of the whole model file.
        host: where it was measured.
        options: the fastest.
        notes: one line for each thing that was tried.
    """

    model: str
    model_sha256: str
    host: Host
    options: ProfileOptions
    notes: tuple[str, ...] = ()

    def check_model(self, digest: str) -> None:
        """Check that this is the model that was measured.

        Raises:
            ProfileError: it is another model.
        """
        if digest != self.model_sha256:
            raise ProfileError(
                f"the profile is for the model {self.model!r} with SHA-256 {self.model_sha256[:16]}..., this "
                f"one has {digest[:16]}...: run `fcn-edge tune` on this model, or do not give the profile"
            )

    def usable(self, digest: str, device: str, threads: int | None, options: SessionOptions | None) -> bool:
        """Whether it was made on this machine, for this model; warns where it was made on another machine.

        Args:
            digest: of the model.
            device: given besides the profile, like the next two; "auto" leaves it to the profile.
            threads: None leaves them to the profile.
            options: the same.

        Raises:
            ProfileError: it was made for another model.
            UsageError: device, threads or options are given although the profile has them.
        """
        self.check_model(digest)
        named = str(device).strip().lower().removesuffix("executionprovider")
        if threads is not None or options is not None or named not in ("auto", self.options.device.lower()):
            raise UsageError(
                f"the profile is for {self.options.device} and {self.options.threads} threads, and device, "
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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, whole or not at all.

        Raises:
            ArtifactError: it cannot be written; what was there before is untouched.
        """
        write_whole(Path(path), self.to_json().encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Profile:
        """Read and validate a file.

        Raises:
            ProfileError: it is missing, not a regular file, too large, or not a profile.
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
            ProfileError: it is not a profile; the message names the field, got and expected.
        """
        data = Fields.parse(text, MAX_BYTES, ProfileError, "the profile", "run `fcn-edge tune` again")
        data.schema(SCHEMA)
        data.only(("schema", *_names(cls)))
        host = _host(data.object("host"))
        return cls(
            model=data.line("model", MAX_TEXT),
            model_sha256=data.digest("model_sha256"),
            host=host,
            options=_options(data.object("options"), host.cores),
            notes=data.sequence("notes", lambda notes, i: notes.line(i, MAX_TEXT), 0, MAX_NOTES, "notes"),
        )


def _on(wanted: bool) -> str:  # noqa: FBT001 - a word for a truth value
    return "on" if wanted else "off"


def require_profile_place(path: Path, model: str | os.PathLike[str]) -> None:
    """Check, before a search starts, that its profile can be written.

    Raises:
        ArtifactError: it cannot.
        UsageError: it would overwrite the model.
    """
    if path.is_dir():
        raise ArtifactError(f"{path} is a folder, expected the name of a file")
    if os.path.realpath(path) == os.path.realpath(model):
        raise UsageError(f"the profile {path} would overwrite the model: choose another name with -o")
    require_writable(path.parent)


def as_profile(given: Profile | str | os.PathLike[str]) -> Profile:
    """A profile as it is, or the one that a path names. Raises what `Profile.load` raises."""
    return given if isinstance(given, Profile) else Profile.load(given)


def _options(data: Fields, cores: int) -> ProfileOptions:
    """Validate it; an option that this release does not know is refused rather than silently ignored.

    Raises the error of `fields`.
    """
    data.only(_names(ProfileOptions))
    device = data.line("device", MAX_TEXT)
    if device.strip().lower() == "auto":
        data.refuse("device", device, "the device that was measured")
    return ProfileOptions(
        device=device,
        threads=data.integer("threads", 1, min(MAX_THREADS, cores)),
        spinning=data.boolean("spinning"),
        optimization=data.one_of("optimization", OPTIMIZATIONS),
        cpu_arena=data.boolean("cpu_arena"),
        mem_pattern=data.boolean("mem_pattern"),
        # The last three may be missing: profiles were made before there was a choice.
        bf16="bf16" in data and data.boolean("bf16"),
        head=data.one_of("head", HEADS) if "head" in data else "graph",
        size=data.optional("size", _size),
    )


def _host(data: Fields) -> Host:
    """Validate it. Raises the error of `fields`."""
    data.only(_names(Host))
    return Host(
        data.line("processor", MAX_TEXT),
        data.integer("cores", 1, MAX_CORES),
        data.line("onnxruntime", MAX_TEXT),
    )


def _names(of: type) -> tuple[str, ...]:
    return tuple(entry.name for entry in fields(of))


def _size(read: Fields, key: Key) -> tuple[int, int]:
    height, width = read.sequence(
        key, lambda sides, i: sides.integer(i, 1, MAX_SIDE), 2, 2, "numbers: height, width"
    )
    if height * width > MAX_FIXED_PIXELS:
        read.refuse(key, f"{height}x{width}", "at most 2160x3840 pixels")
    return height, width
