"""A model file as plain JSON values: for `fcn-edge inspect`, without onnxruntime."""

from __future__ import annotations

from typing import Any

from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.model.protobuf.value_info import TensorInfo

__all__ = ["describe"]

_TYPES = {1: "float32", 2: "uint8", 4: "uint16"}


def describe(model: ModelFile) -> dict[str, Any]:
    """Everything known about an open model without running it, as plain JSON values."""
    summary, golden = model.summary, model.golden
    return {
        "path": model.path,
        "sha256": model.digest,
        "bytes": model.size,
        "ir_version": summary.ir_version,
        "opsets": {domain or "ai.onnx": version for domain, version in summary.opsets.items()},
        "inputs": [_tensor(tensor) for tensor in summary.inputs],
        "outputs": [_tensor(tensor) for tensor in summary.outputs],
        "parameters": summary.parameter_count,
        "nodes": summary.node_count,
        "operators": dict(sorted(summary.op_types.items(), key=lambda item: (-item[1], item[0]))),
        "selftest": {
            "tau": golden.tau,
            "cases": [
                {
                    "size": [case.batch, case.height, case.width],
                    "seed": case.seed,
                    "decided": int((case.labels != model.card.unlabeled).sum()),
                }
                for case in golden.cases
            ],
        },
        "card": model.card.to_dict(),
    }


def _tensor(tensor: TensorInfo) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "dtype": _TYPES.get(tensor.elem_type, f"type {tensor.elem_type}"),
        "shape": list(tensor.dims or ()),
    }
