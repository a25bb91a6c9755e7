"""Which machine a figure was measured on, and how busy it was."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

import numpy as np

from fcn_edge_runtime.session.cpu import processor_name
from fcn_edge_runtime.session.devices import cores, import_onnxruntime

__all__ = ["Machine", "this_machine"]


@dataclass(frozen=True)
class Machine:
    """What figures depend on besides the model.

    Attributes:
        cpu: the processor's name and its vector instructions.
        cores: that this process may use.
        system: the operating system and its machine type.
        python, numpy, onnxruntime: versions.
        load: programs that wanted a core, on average over the last minute; None where unknown.
    """

    cpu: str
    cores: int
    system: str
    python: str
    numpy: str
    onnxruntime: str
    load: float | None

    @property
    def busy(self) -> bool:
        """Whether others take so much of the machine that times are too long; ratios still hold."""
        return self.load is not None and self.load > 0.3 * self.cores


def this_machine() -> Machine:
    """Look at the machine, before anything is measured on it."""
    try:
        load: float | None = os.getloadavg()[0]
    except (AttributeError, OSError):  # not on Windows
        load = None
    return Machine(
        processor_name(),
        cores(),
        f"{platform.system()} {platform.machine()}",
        platform.python_version(),
        np.__version__,
        str(import_onnxruntime().__version__),
        load,
    )
