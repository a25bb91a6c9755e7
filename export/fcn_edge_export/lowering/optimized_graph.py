"""The graph that onnxruntime really runs after its optimizations, and the products that it keeps in float."""

from __future__ import annotations

import tempfile
from collections.abc import Set as AbstractSet
from pathlib import Path

import onnx

from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.session.config import UNWANTED_OPTIMIZERS
from fcn_edge_runtime.session.devices import import_onnxruntime

__all__ = ["float_products", "fused_graph"]

FLOAT_PRODUCTS = ("Conv", "FusedConv", "NhwcFusedConv", "MatMul", "FusedMatMul", "Gemm", "FusedGemm")


def fused_graph(model: onnx.ModelProto) -> onnx.GraphProto:
    """The graph after all of onnxruntime's optimizations for this CPU.

    This session never runs, it only writes its graph. All other sessions are made by `open_session`.

    Raises:
        ArtifactError: onnxruntime cannot load the model.
    """
    runtime = import_onnxruntime()
    with tempfile.TemporaryDirectory(prefix="fcn-edge-") as folder:
        path = Path(folder, "fused.onnx")
        options = runtime.SessionOptions()
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.optimized_model_filepath = str(path)
        options.intra_op_num_threads = 1
        options.log_severity_level = 4  # it warns that such a file is for this machine only
        try:
            runtime.InferenceSession(
                model.SerializeToString(),
                sess_options=options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=UNWANTED_OPTIMIZERS,
            )
            return onnx.load(path).graph
        except Exception as error:
            raise ArtifactError(f"quantize: onnxruntime cannot load the int8 graph: {error}") from error


def float_products(
    model: onnx.ModelProto, original: onnx.ModelProto, expected: AbstractSet[str]
) -> tuple[str, ...]:
    """Which of the products expected in integers onnxruntime computes in float.

    Args:
        model: the quantized model.
        original: the float model it was made of.
        expected: names of convolutions and matrix products in the float model.
    """
    # onnxruntime names a new node after the node, or after the value, that it replaces.
    names = {node.name: node.name for node in original.graph.node if node.name in expected}
    names |= {node.output[0]: node.name for node in original.graph.node if node.name in expected}
    readers = {i: n for n in original.graph.node if n.op_type in ("Relu", "Clip") for i in n.input[:1]}
    names |= {
        readers[node.output[0]].output[0]: node.name
        for node in original.graph.node
        if node.name in expected and node.output[0] in readers
    }
    found = dict.fromkeys(
        names.get(node.name.removesuffix("_nchwc")) or names.get(node.output[0], "")
        for node in fused_graph(model).node
        if node.op_type in FLOAT_PRODUCTS
    )
    return tuple(name for name in found if name)
