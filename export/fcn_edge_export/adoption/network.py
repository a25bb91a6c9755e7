"""A given file as a network of ours: `normalized` [batch, channels, height, width] -> `logits`, opset 18."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fcn_edge_export.adoption.batch import take_any_batch
from fcn_edge_export.adoption.file import OnnxFile
from fcn_edge_export.adoption.fused import unfused
from fcn_edge_export.adoption.integers import as_qdq
from fcn_edge_export.adoption.opset import at_our_opset
from fcn_edge_export.adoption.outputs import Taken
from fcn_edge_export.adoption.reference import LEAST, GivenFile
from fcn_edge_export.brevity import listed
from fcn_edge_export.graph.names import LOGITS, TRACED_INPUT
from fcn_edge_export.graph.nodes import Nodes, rename
from fcn_edge_export.sizes import Sizes
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.model.contract import IR_VERSION, OPSET

__all__ = ["network_of"]

_RANDOM = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}


def network_of(
    file: OnnxFile, taken: Taken, given: GivenFile, sizes: Sizes, channels: int
) -> onnx.ModelProto:
    """The part of a file that computes the logits, between our names and our layout.

    Raises:
        InputError: it holds operators that opset 18 lacks, or that do not always give the same.
    """
    needed = file.part([taken.tensor])
    del needed.graph.output[:], needed.graph.value_info[:]
    needed.graph.output.append(_value(taken.tensor, None))
    _check_steady(file, needed)
    as_qdq(needed)
    unfused(needed.graph)
    graph = at_our_opset(file.path, needed).graph
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
    network = helper.make_model(
        helper.make_graph(
            [*before.nodes, *graph.node, *after.nodes],
            "given",
            [_value(TRACED_INPUT, ["batch", channels, *fixed])],
            [_value(LOGITS, ["batch", sizes.classes, *fixed])],
            [*before.constants, *graph.initializer, *after.constants],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    take_any_batch(
        network,
        (given.batch or 1, channels, *(file.size or (sizes.smallest,) * 2)),
        fixed=file.size is not None,
    )
    return network


def _value(name: str, shape: list[str | int] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _enter(out: Nodes, image: str, file: OnnxFile) -> None:
    """`normalized` as the file's own input."""
    last = TRACED_INPUT
    steps: list[tuple[str, dict[str, object]]] = []
    if file.layout == "NHWC":
        steps.append(("Transpose", {"perm": [0, 2, 3, 1]}))
    if file.dtype != "float32":
        steps.append(("Cast", {"to": TensorProto.DataType.Value(file.dtype.upper())}))
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
    if sizes.reduction > 1 or sizes.enlargement > 1:
        outer = out.add("Shape", [last], "given/outer", start=0, end=2)
        inner = out.add("Shape", [TRACED_INPUT], "given/inner", start=2, end=4)
        full = out.add("Concat", [outer, inner], "given/full", axis=0)
        half_pixel = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        out.add("Resize", [last, "", "", full], LOGITS, **half_pixel)
    else:
        out.add("Identity", [last], LOGITS)


def _check_steady(file: OnnxFile, needed: onnx.ModelProto) -> None:
    """Raise InputError if the logits of an image are not always the same, or depend on its batch."""
    constants = {t.name: t for t in needed.graph.initializer}
    kinds = set()
    for node in needed.graph.node:
        on = constants.get(node.input[2]) if node.op_type == "Dropout" and len(node.input) > 2 else None
        if node.op_type in _RANDOM or (on is not None and numpy_helper.to_array(on).any()) or _of_batch(node):
            kinds.add(node.op_type)
    if kinds:
        raise InputError(
            f"{file.path} is a network in training ({listed(sorted(kinds))}), whose scores of an image are "
            "not always the same: export it in evaluation mode"
        )


def _of_batch(node: onnx.NodeProto) -> bool:
    """Whether it is a batch normalization that uses the mean of its own batch."""
    if node.op_type != "BatchNormalization":
        return False
    return (
        any(a.name == "training_mode" and a.i for a in node.attribute)
        or len([*filter(None, node.output)]) > 1
    )
