"""From what a user types to a profile: the model's path, frames out of folders, the file to write."""

from __future__ import annotations

import os
from pathlib import Path

from fcn_edge_runtime._files import require_writable
from fcn_edge_runtime.benchmark.frames import frames_for
from fcn_edge_runtime.benchmark.tune import Tuned, tune
from fcn_edge_runtime.errors import ArtifactError, UsageError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.progress import Progress

__all__ = ["tune_file"]

DEFAULT_SIZE = (480, 640)


def tune_file(
    model: str,
    out: Path,
    *,
    images: tuple[str, ...],
    size: tuple[int, int] | None,
    device: str,
    budget: float,
    max_threads: int | None,
    prefer: str,
    fixed_size: bool = False,
    progress: Progress | None = None,
) -> Tuned:
    """Tune a model, see `fcn_edge_runtime.benchmark.tune.tune`, and save its profile once the search is over.

    Args:
        model: path of the model.
        out: path of the profile.
        images: files, folders and patterns of pictures; computed frames if there are none.
        size: (height, width) of the frames; None keeps pictures as they are, and computes 480x640.
        device: see `tune`, as the following.
        budget: in seconds.
        max_threads: at most.
        prefer: what to lower.
        fixed_size: whether the profile may be for frames of this size alone.
        progress: receives each trial as a stage.

    Raises:
        ArtifactError: the profile cannot be written there; found out before the work starts.
        InputError: a picture that cannot be read, or none.
        UsageError, ProviderError, ModelError, VerificationError: see `tune`.
    """
    _check_target(out, model)
    with ModelFile.open(model) as opened:
        smallest = opened.card.geometry.smallest_size
        if size is None and not images:
            size = (max(DEFAULT_SIZE[0], smallest), max(DEFAULT_SIZE[1], smallest))
        if size is not None and min(size) < smallest:
            raise UsageError(f"got the size {size[0]}x{size[1]}, expected at least {smallest} each way")
        frames = frames_for(opened.card.input, size, images)
        found = tune(
            opened,
            frames,
            device=device,
            budget=budget,
            max_threads=max_threads,
            prefer=prefer,
            fixed_size=fixed_size,
            progress=progress,
        )
    found.profile.save(out)
    return found


def _check_target(out: Path, model: str) -> None:
    if out.is_dir():
        raise ArtifactError(f"{out} is a folder, expected the name of a file")
    if os.path.realpath(out) == os.path.realpath(model):
        raise UsageError(f"the profile {out} would overwrite the model: choose another name with -o")
    require_writable(out.parent)
