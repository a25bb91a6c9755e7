"""The inputs and outputs of a graph: name, type and shape."""

from __future__ import annotations

from dataclasses import dataclass

from fcn_edge_runtime.model.protobuf.fields import Dimension, TensorShape, TensorType, Type, ValueInfo
from fcn_edge_runtime.model.protobuf.reading import BYTES, VARINT, Reader, damaged
from fcn_edge_runtime.model.protobuf.views import MAX_RANK

__all__ = ["TensorInfo", "read_value_info"]


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
    dims: tuple[int | str | None, ...] | None


def read_value_info(reader: Reader, start: int, end: int) -> TensorInfo:
    """The input or output in buffer[start:end].

    Raises:
        ModelError: it has more than MAX_RANK dimensions.
    """
    name, elem_type, dims = "", 0, None
    for number, wire, value, stop in reader.fields(start, end):
        if number == ValueInfo.NAME and wire == BYTES:
            name = reader.text(value, stop)
        elif number == ValueInfo.TYPE and wire == BYTES:
            for kind, kind_wire, inner, inner_stop in reader.fields(value, stop):
                if kind == Type.TENSOR_TYPE and kind_wire == BYTES:
                    elem_type, dims = _tensor_type(reader, inner, inner_stop)
                elif kind_wire == BYTES and kind != Type.DENOTATION:  # a sequence, a map and so on
                    elem_type, dims = 0, None
    return TensorInfo(name, elem_type, dims)


def _tensor_type(reader: Reader, start: int, end: int) -> tuple[int, tuple[int | str | None, ...] | None]:
    elem_type = 0
    dims: list[int | str | None] | None = None
    for number, wire, value, stop in reader.fields(start, end):
        if number == TensorType.ELEM_TYPE and wire == VARINT:
            elem_type = value
        elif number == TensorType.SHAPE and wire == BYTES:
            dims = [] if dims is None else dims
            for inner, inner_wire, dim, dim_stop in reader.fields(value, stop):
                if inner == TensorShape.DIM and inner_wire == BYTES:
                    dims.append(_dimension(reader, dim, dim_stop))
            if len(dims) > MAX_RANK:
                raise damaged(f"a tensor has more than {MAX_RANK} dimensions")
    return elem_type, None if dims is None else tuple(dims)


def _dimension(reader: Reader, start: int, end: int) -> int | str | None:
    size: int | str | None = None
    for number, wire, value, stop in reader.fields(start, end):
        if number == Dimension.DIM_VALUE and wire == VARINT:
            size = value
        elif number == Dimension.DIM_PARAM and wire == BYTES:
            size = reader.text(value, stop)
    return size
