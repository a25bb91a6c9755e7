"""fcn-edge: its own files in its own Segmenter."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version

from benchmarks.peers.contract import Frame, Labels, Materials, NotOffered, Prepare, Prepared

__all__ = ["FILES", "VARIANTS"]

# What a file is called, by variant. Spinning is a session's option, so it shares a file.
FILES = {
    "fp32": "ours-fp32.onnx",
    "fp32 sparse head": "ours-fp32-sparse.onnx",
    "int8": "ours-int8.onnx",
    "int8 sparse head": "ours-int8-sparse.onnx",
    "int8 sparse head, spinning": "ours-int8-sparse.onnx",
}


def _open(materials: Materials, variant: str) -> Prepared:
    from fcn_edge_runtime import Segmenter
    from fcn_edge_runtime.session import SessionExtra

    name = FILES[variant]
    if name in materials.refused:
        raise NotOffered(materials.refused[name])
    spinning = variant.endswith("spinning")
    segmenter = Segmenter(
        materials.shared / name, "cpu", materials.threads, extra=SessionExtra(spinning=spinning)
    )

    def label(frame: Frame) -> Labels:
        return segmenter(frame).labels

    how = "Segmenter, threads spin between operators" if spinning else "Segmenter, its defaults"
    return Prepared(label, how, {"onnxruntime": version("onnxruntime")})


VARIANTS: dict[str, Prepare] = {name: partial(_open, variant=name) for name in FILES}
