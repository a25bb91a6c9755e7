"""A model of any operator set as one of ours, opset 18: older ones converted, newer operators written out."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import helper, numpy_helper, shape_inference, version_converter
from onnx.inliner import inline_selected_functions

from fcn_edge_export.adoption.cleanup import hoist_constants
from fcn_edge_export.brevity import brief, listed
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.model.contract import OPSET

__all__ = ["at_our_opset", "opset_of"]

RESIZE_SAYS_WHERE = 11  # from this opset on Resize has a coordinate_transformation_mode
# Operators that opset 18 has under the same name, where they take other weights.
CHANGED = {"GroupNormalization": 21}
_MODES = {b"linear": b"bilinear", b"cubic": b"bicubic"}  # of GridSample from opset 20 on, and before


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's operators that a model was written for."""
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)


def at_our_opset(path: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with operators of opset 18 that computes the same.

    Args:
        path: named in messages.
        model: without functions of its own.

    Raises:
        InputError: it holds operators that cannot be converted, or that opset 18 lacks.
    """
    given = opset_of(model)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    if given > OPSET:
        result = _written_out(path, result, given)
    if given < OPSET:
        try:
            result = version_converter.convert_version(result, OPSET)
        except Exception as error:  # noqa: BLE001 (the converter raises RuntimeError and others)
            raise InputError(
                f"{path} cannot be converted from opset {given} to {OPSET}: {brief(error)}"
            ) from None
    hoist_constants(result.graph)
    if given < RESIZE_SAYS_WHERE:
        _resize_as_before(result)
    return result


def _written_out(path: Path, model: onnx.ModelProto, given: int) -> onnx.ModelProto:
    """With newer operators replaced by what ONNX defines them as."""
    newer = sorted({node.op_type for node in model.graph.node if _is_newer(node.op_type, given)})
    if newer:
        try:
            typed = shape_inference.infer_shapes(model)  # what an operator is made of depends on its types
            typed.graph.value_info.extend(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
                for tensor in model.graph.initializer
            )
            model = inline_selected_functions(
                typed, [("", name) for name in newer], inline_schema_functions=True
            )
        except Exception as error:  # noqa: BLE001 (the inliner raises RuntimeError and others)
            raise InputError(f"{path}: {listed(newer)} cannot be written out: {brief(error)}") from None
        del model.graph.value_info[:]
    left = sorted({n.op_type for n in model.graph.node if _is_newer(n.op_type, given)})
    if left:
        raise InputError(
            f"{path} has opset {given}, with operators that opset {OPSET} lacks ({listed(left)}): "
            f"export it with opset_version={OPSET}"
        )
    for node in model.graph.node:
        if newer and node.op_type == "CastLike":  # all floats are float32 here, see `widen`
            node.op_type, node.input[:] = "Cast", node.input[:1]
            node.attribute.append(helper.make_attribute("to", onnx.TensorProto.FLOAT))
        for attribute in node.attribute:
            if node.op_type == "GridSample" and attribute.name == "mode":
                attribute.s = _MODES.get(attribute.s, attribute.s)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", OPSET))
    return model


def _is_newer(operator: str, given: int) -> bool:
    """Whether our operator set lacks an operator, or knows another one of that name."""
    return not onnx.defs.has(operator, OPSET, "") or CHANGED.get(operator, given + 1) <= given


def _resize_as_before(model: onnx.ModelProto) -> None:
    """Upsample and Resize read pixel o at o / scale, rounded down; the converter leaves out that they do."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "Resize":
            continue
        scales = constants.get(node.input[2]) if len(node.input) > 2 else None
        smaller = scales is not None and (numpy_helper.to_array(scales) < 1).any()
        said = {a.name: a for a in node.attribute}
        for name, value in (
            ("coordinate_transformation_mode", "asymmetric"),
            ("nearest_mode", "ceil" if smaller else "floor"),
        ):
            if name in said:
                node.attribute.remove(said[name])
            node.attribute.append(helper.make_attribute(name, value))
