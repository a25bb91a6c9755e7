"""A given file as a network of ours: `normalized` [batch, channels, height, width] -> `logits`, opset 18."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, version_converter

from fcn_edge_export.graph.names import LOGITS, TRACED_INPUT
from fcn_edge_export.graph.nodes import Nodes, rename
from fcn_edge_export.onnx_file import OnnxFile, Taken, brief, listed
from fcn_edge_export.onnx_reference import LEAST, GivenFile
from fcn_edge_export.sizes import Sizes
from fcn_edge_runtime.errors import ArtifactError, InputError
from fcn_edge_runtime.model.contract import IR_VERSION, OPSET

__all__ = ["network_of"]


def network_of(
    file: OnnxFile, taken: Taken, given: GivenFile, sizes: Sizes, channels: int
) -> onnx.ModelProto:
    """The part of a file that computes the logits, between our names and our layout.

    Raises:
        InputError: it holds operators that opset 18 lacks, or control flow.
        ArtifactError: its logits do not depend on its image.
    """
    source = _at_our_opset(file)
    graph = source.graph
    control = sorted({node.op_type for node in graph.node if any(a.HasField("g") for a in node.attribute)})
    if control:
        raise InputError(
            f"{file.path} has control flow ({listed(control)}), expected a network that does the same "
            "for every image: export it with fixed branches"
        )
    for name in (TRACED_INPUT, LOGITS):
        rename(graph, name, f"given/{name}")
    image = f"given/{file.input}" if file.input in (TRACED_INPUT, LOGITS) else file.input
    tensor = f"given/{taken.tensor}" if taken.tensor in (TRACED_INPUT, LOGITS) else taken.tensor
    before, after = Nodes(), Nodes()
    _enter(before, image, file)
    _leave(after, tensor, given, sizes)
    fixed = file.size or ("height", "width")
    for node in (*before.nodes, *after.nodes):
        node.name = f"given/{node.output[0]}"  # the graft has nodes of their names
    nodes = [*before.nodes, *graph.node, *after.nodes]
    needed = _needed(nodes)
    weights = [t for t in graph.initializer if any(t.name in node.input for node in needed)]
    return helper.make_model(
        helper.make_graph(
            needed,
            "given",
            [_value(TRACED_INPUT, ["batch", channels, *fixed])],
            [_value(LOGITS, ["batch", sizes.classes, *fixed])],
            [*before.constants, *weights, *after.constants],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )


def _value(name: str, shape: list[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _at_our_opset(file: OnnxFile) -> onnx.ModelProto:
    given = file.opset
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    if given == OPSET:
        return model
    if given < OPSET:
        try:
            return version_converter.convert_version(model, OPSET)
        except Exception as error:  # noqa: BLE001 (the converter raises RuntimeError and others)
            why = brief(error)
            raise InputError(
                f"{file.path} cannot be converted from opset {given} to {OPSET}: {why}"
            ) from None
    newer = sorted({n.op_type for n in model.graph.node if _is_newer(n.op_type)})
    if newer:
        raise InputError(
            f"{file.path} has opset {given}, with operators that opset {OPSET} lacks ({listed(newer)}): "
            f"export it with opset_version={OPSET}"
        )
    return model


def _is_newer(operator: str) -> bool:
    """Whether our operator set lacks an operator."""
    return not onnx.defs.has(operator, OPSET, "")


def _enter(out: Nodes, image: str, file: OnnxFile) -> None:
    """`normalized` as the file's own input."""
    last = TRACED_INPUT
    steps: list[tuple[str, dict[str, object]]] = []
    if file.layout == "NHWC":
        steps.append(("Transpose", {"perm": [0, 2, 3, 1]}))
    if file.dtype == "uint8":
        steps.append(("Cast", {"to": TensorProto.UINT8}))
    steps = steps or [("Identity", {})]
    for index, (operator, attributes) in enumerate(steps):
        result = image if index == len(steps) - 1 else f"given/enter_{index}"
        out.add(operator, [last], result, **attributes)
        last = result


def _leave(out: Nodes, tensor: str, given: GivenFile, sizes: Sizes) -> None:
    """The file's tensor as `logits`."""
    steps: list[tuple[str, list[str], dict[str, object]]] = []
    if len(given.from_output) == 3:
        steps.append(("Unsqueeze", [out.constant("given/class_axis", np.array([1]))], {}))
    elif tuple(given.from_output) != (0, 1, 2, 3):
        steps.append(("Transpose", [], {"perm": list(given.from_output)}))
    if given.activation != "none":
        high = 1 - LEAST if given.activation == "sigmoid" else np.inf
        limits = [np.array(LEAST, np.float32), np.array(high, np.float32)]
        bounds = [out.constant(f"given/p{index}", limit) for index, limit in enumerate(limits)]
        steps.append(("Clip", bounds, {}))
        steps.append(("Log", [], {}))
    last = tensor
    for index, (operator, inputs, attributes) in enumerate(steps):
        probabilities = last
        last = out.add(operator, [last, *inputs], f"given/leave_{index}", **attributes)
    if given.activation == "sigmoid":
        one = out.constant("given/one", np.array(1, np.float32))
        rest = out.add("Sub", [one, probabilities], "given/rest")
        last = out.add("Sub", [last, out.add("Log", [rest], "given/log_rest")], "given/logit")
    if sizes.reduction > 1:
        outer = out.add("Shape", [last], "given/outer", start=0, end=2)
        inner = out.add("Shape", [TRACED_INPUT], "given/inner", start=2, end=4)
        full = out.add("Concat", [outer, inner], "given/full", axis=0)
        half_pixel = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        out.add("Resize", [last, "", "", full], LOGITS, **half_pixel)
    else:
        out.add("Identity", [last], LOGITS)


def _needed(nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The nodes that the logits are computed from, in their order."""
    wanted, kept = {LOGITS}, []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    if not any(TRACED_INPUT in node.input for node in kept):
        raise ArtifactError("convert: the logits of the given file do not depend on its image")
    return kept[::-1]
