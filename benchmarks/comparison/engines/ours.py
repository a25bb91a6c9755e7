"""fcn-edge: its own files in its own Segmenter."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.comparison.contract import Frame, Labels, Materials, NotOffered, Prepare, Prepared

if TYPE_CHECKING:
    from fcn_edge_runtime import Segmenter

__all__ = ["FILES", "VARIANTS"]

# File names by variant. A profile only holds session options, so a tuned variant shares the file.
FILES = {
    "fp32": "ours-fp32.onnx",
    "fp32 sparse head": "ours-fp32-sparse.onnx",
    "int8": "ours-int8.onnx",
    "int8 sparse head": "ours-int8-sparse.onnx",
    "int8 sparse head, tuned": "ours-int8-sparse.onnx",
    "int8 tuned": "ours-int8.onnx",
    "int8, OpenVINO provider": "ours-int8.onnx",
    "int8, OpenVINO provider, tuned": "ours-int8.onnx",
    "fp32, as a newcomer runs it": "ours-fp32.onnx",
    "int8, as a newcomer runs it": "newcomer-quantized.onnx",
    "int8, as a newcomer runs it with OpenVINO": "newcomer-quantized.onnx",
}
BUDGET = 20.0  # seconds of tuning


def _open(materials: Materials, variant: str) -> Prepared:
    from fcn_edge_runtime import Segmenter

    segmenter = Segmenter(_file(materials, variant), _device(variant), materials.threads)
    return _prepared(segmenter, "Segmenter, its defaults")


def _newcomer(materials: Materials, variant: str) -> Prepared:
    """What the README's first lines give: no device, no threads, no profile."""
    from fcn_edge_runtime import Segmenter

    segmenter = Segmenter(_file(materials, variant))
    session = segmenter.session
    return _prepared(segmenter, f"Segmenter(file): {session.device}, {session.threads} threads")


def _device(variant: str) -> str:
    return "openvino" if "OpenVINO" in variant else "cpu"


def _tuned(materials: Materials, variant: str) -> Prepared:
    import fcn_edge

    path = _file(materials, variant)
    profile = materials.folder / f"profile-{_device(variant)}-{path.stem}.json"
    options = fcn_edge.TuneOptions(
        size=(materials.height, materials.width),
        device=_device(variant),
        budget=BUDGET,
        max_threads=materials.threads,
        fixed_size=True,  # as for the other engines, whose networks have the size of the run
    )
    found = fcn_edge.tune(path, materials.pictures, options=options)
    found.profile.save(profile)
    return _prepared(
        fcn_edge.Segmenter(path, profile=profile), f"Segmenter with a profile: {found.profile.options}"
    )


def _file(materials: Materials, variant: str) -> Path:
    if FILES[variant] in materials.refused:
        raise NotOffered(materials.refused[FILES[variant]])
    return materials.ours(FILES[variant])


def _prepared(segmenter: Segmenter, how: str) -> Prepared:
    def label(frame: Frame) -> Labels:
        return segmenter(frame).labels

    import onnxruntime

    return Prepared(label, how, {"onnxruntime": onnxruntime.__version__})


def _way(name: str) -> Callable[..., Prepared]:
    if "newcomer" in name:
        return _newcomer
    return _tuned if name.endswith("tuned") else _open


VARIANTS: dict[str, Prepare] = {name: partial(_way(name), variant=name) for name in FILES}
