"""The machine a benchmark ran on, and how busy it was."""

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
    """What timings depend on besides the model.

    Attributes:
        cpu: the processor's name and its vector instructions.
        cores: cores this process may use.
        system: the operating system and the machine's architecture.
        python, numpy, onnxruntime: versions.
        load: average number of runnable processes over the last minute; None where unknown.
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
        """Whether other programs use so much of the machine that timings are too long; ratios still hold."""
        return self.load is not None and self.load > 0.3 * self.cores


def this_machine() -> Machine:
    """Describe the machine; call it before anything is measured."""
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
