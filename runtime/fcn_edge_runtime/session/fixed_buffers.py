"""Runs with input and outputs at fixed addresses of a device: what a CUDA graph needs.

Most of a small network's time on a GPU is spent launching its kernels, one after another. A CUDA graph is the
recorded sequence of them, launched at once. It has addresses recorded in it, so the image is copied into one
buffer, results are copied out of others, and calls from several threads wait for each other.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fcn_edge_runtime.session.devices import quiet_run

__all__ = ["FixedBuffers", "has_fixed_shapes"]

_TYPES = {
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}


def has_fixed_shapes(raw: Any) -> bool:
    """Whether the shapes of a session's input and outputs are known before it runs."""
    tensors = [*raw.get_inputs(), *raw.get_outputs()]
    return all(t.type in _TYPES and all(type(n) is int for n in t.shape) for t in tensors)


@dataclass(frozen=True)
class _Bound:
    """Buffers of one choice of outputs, and the graph that is recorded for them."""

    binding: Any
    options: Any


class FixedBuffers:
    """The buffers of a session whose shapes are all known.

    Args:
        runtime: the onnxruntime module.
        raw: its session.
        device: where the buffers are: "cuda", or "cpu".
    """

    def __init__(self, runtime: Any, raw: Any, device: str) -> None:
        self._runtime, self._raw, self._device = runtime, raw, device
        self._image = self._buffer(raw.get_inputs()[0])
        self._bound: dict[tuple[str, ...], _Bound] = {}
        self._lock = threading.Lock()  # one frame at a time is in the buffers

    def run(self, image: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        """Run on one image, (1, H, W, C); the results are copies that the caller keeps."""
        with self._lock:
            bound = self._bound.get(tuple(names)) or self._bind(tuple(names))
            self._image.update_inplace(image)
            self._raw.run_with_iobinding(bound.binding, bound.options)
            values: list[np.ndarray] = bound.binding.copy_outputs_to_cpu()
        return values

    def _bind(self, names: tuple[str, ...]) -> _Bound:
        binding, options = self._raw.io_binding(), quiet_run(self._runtime)
        # Each choice of outputs has its own buffers, so each is a graph of its own.
        options.add_run_config_entry("gpu_graph_id", str(len(self._bound) + 1))
        binding.bind_ortvalue_input("image", self._image)
        shapes = {tensor.name: tensor for tensor in self._raw.get_outputs()}
        for name in names:
            binding.bind_ortvalue_output(name, self._buffer(shapes[name]))
        self._bound[names] = _Bound(binding, options)
        return self._bound[names]

    def _buffer(self, tensor: Any) -> Any:
        return self._runtime.OrtValue.ortvalue_from_shape_and_type(
            tensor.shape, _TYPES[tensor.type], self._device, 0
        )
