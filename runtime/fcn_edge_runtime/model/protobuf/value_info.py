"""The inputs and outputs of a graph: name, type and shape."""

from __future__ import annotations

from dataclasses import dataclass

from fcn_edge_runtime.model.protobuf.fields import Dimension, TensorShape, TensorType, Type, ValueInfo
from fcn_edge_runtime.model.protobuf.reading import BYTES, VARINT, Reader, damaged, unwritten
from fcn_edge_runtime.model.protobuf.tensors import MAX_RANK

__all__ = ["TensorInfo", "read_value_info"]


Dims = tuple[int | str | None, ...] | None


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of the graph.

    Attributes:
        name: the tensor's name.
        elem_type: ONNX's TensorProto.DataType (1 float32, 2 uint8, 4 uint16); 0 if it is not a tensor.
        dims: one entry for each dimension: a number, a symbol's name, or None; None if no shape is given.
    """

    name: str
    elem_type: int
    dims: Dims


def read_value_info(reader: Reader, start: int, end: int) -> TensorInfo:
    """The input or output in buffer[start:end].

    Raises:
        ModelError: it has more than MAX_RANK dimensions, or a part of it occurs twice.
    """
    name: str | None = None
    elem_type, dims, typed = 0, None, False
    for number, wire, value, stop in reader.fields(start, end):
        if number == ValueInfo.NAME and wire == BYTES and name is None:
            name = reader.text(value, stop)
        elif number == ValueInfo.TYPE and wire == BYTES and not typed:
            elem_type, dims = _type(reader, value, stop)
            typed = True
        elif number not in (ValueInfo.DOC_STRING, ValueInfo.METADATA_PROPS):
            raise unwritten(f"an input or output with the field {number} twice, or of another form")
    return TensorInfo(name or "", elem_type, dims)


def _type(reader: Reader, start: int, end: int) -> tuple[int, Dims]:
    """Type and shape of a tensor; (0, None) of a sequence, a map and so on."""
    found: tuple[int, Dims] | None = None
    for kind, wire, first, last in reader.fields(start, end):
        if wire != BYTES or (kind != Type.DENOTATION and found is not None):
            raise unwritten(f"a type with the field {kind} twice, or of another form")
        if kind == Type.TENSOR_TYPE:
            found = _tensor_type(reader, first, last)
        elif kind != Type.DENOTATION:
            found = 0, None
    return found or (0, None)


def _tensor_type(reader: Reader, start: int, end: int) -> tuple[int, Dims]:
    elem_type = 0
    dims: list[int | str | None] | None = None
    for number, wire, value, stop in reader.fields(start, end):
        if number == TensorType.ELEM_TYPE and wire == VARINT and not elem_type:
            elem_type = value
        elif number == TensorType.SHAPE and wire == BYTES and dims is None:
            dims = [_dimension(reader, *dim) for dim in reader.spans(value, stop, TensorShape.DIM)]
            if len(dims) > MAX_RANK:
                raise damaged(f"a tensor has more than {MAX_RANK} dimensions")
        else:
            raise unwritten(f"a tensor's type with the field {number} twice, or of another form")
    return elem_type, None if dims is None else tuple(dims)


def _dimension(reader: Reader, start: int, end: int) -> int | str | None:
    size: int | str | None = None
    for number, wire, value, stop in reader.fields(start, end):
        if number == Dimension.DIM_VALUE and wire == VARINT and size is None:
            size = value
        elif number == Dimension.DIM_PARAM and wire == BYTES and size is None:
            size = reader.text(value, stop)
        elif number != Dimension.DENOTATION:
            raise unwritten(f"a dimension with the field {number} twice, or of another form")
    return size
