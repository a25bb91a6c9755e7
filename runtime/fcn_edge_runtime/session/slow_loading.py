"""How many operators a file may have where loading takes time that grows with their square."""

from __future__ import annotations

from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.session.devices import release_of

__all__ = ["check_operator_count"]

# The first release of onnxruntime that loads long chains in linear time. Before it, so many operators take a
# second, with OpenVINO so many; a self-test loads a file again.
LINEAR_FROM = (1, 32)
MOST = 2000
MOST_OPENVINO = 1500


def check_operator_count(model: ModelFile, provider: str, release: str) -> None:
    """Refuse a file that would take long to load.

    Args:
        model: the file.
        provider: onnxruntime's name of it.
        release: of onnxruntime, such as "1.18.0".

    Raises:
        ModelError: it has too many operators, those not counted that the user allows by name.
    """
    if provider == "OpenVINOExecutionProvider":
        model.limits.check_count(MOST_OPENVINO, "OpenVINO loads more slowly: choose the device cpu")
    elif release_of(release) < LINEAR_FROM:
        newer = ".".join(map(str, LINEAR_FROM))
        model.limits.check_count(MOST, f"onnxruntime {release} loads more slowly: install {newer} or newer")
