"""tune(): the session options that make a model faster on this machine, as a profile."""

from __future__ import annotations

import os

from fcn_edge_runtime.benchmark.frames import frames_for
from fcn_edge_runtime.benchmark.search import Tuned, TuneOptions, search
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.imaging.frames import FrameSource
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.progress import Progress

__all__ = ["TuneOptions", "Tuned", "tune"]

DEFAULT_SIZE = (480, 640)


def tune(
    path: str | os.PathLike[str],
    images: FrameSource | None = None,
    *,
    options: TuneOptions | None = None,
    progress: Progress | None = None,
) -> Tuned:
    """Find the session options that make a model faster here. `.profile` of the result can be saved.

    Args:
        path: the model.
        images: frames to time: a folder, paths, arrays, a mapping or a function, see `frames_of`; the
            first 16 are used. None computes some.
        options: how to search; None means the defaults.
        progress: receives each trial as a stage.

    Raises:
        UsageError: no such device, a size below the smallest that the network takes, or a budget too small
            for one comparison.
        InputError: an image cannot be read, or there are none.
        ProviderError, ModelError: the model does not run on the device.
        VerificationError: the self-test fails even without a profile.
    """
    options = options or TuneOptions()
    with ModelFile.open(path) as model:
        smallest, size = model.card.geometry.smallest_size, options.size
        if size is None and images is None:
            size = (max(DEFAULT_SIZE[0], smallest), max(DEFAULT_SIZE[1], smallest))
        if size is not None and min(size) < smallest:
            raise UsageError(f"got the size {size[0]}x{size[1]}, expected at least {smallest} each way")
        return search(model, frames_for(model.card, size, images), options, progress)
