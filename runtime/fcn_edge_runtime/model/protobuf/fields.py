"""The names of protobuf field numbers, one class a message of ONNX.

Each class is called like the message without its "Proto", each number like the field, in upper case. Only the
fields that are read or written here. The source is
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, and a test compares them with the `onnx` package.
"""

from __future__ import annotations

__all__ = [
    "Attribute",
    "DataType",
    "Dimension",
    "Function",
    "Graph",
    "Model",
    "Node",
    "OperatorSetId",
    "SparseTensor",
    "StringStringEntry",
    "Tensor",
    "TensorShape",
    "TensorType",
    "TrainingInfo",
    "Type",
    "ValueInfo",
]


class Model:
    """ModelProto, the whole file."""

    IR_VERSION = 1
    GRAPH = 7
    OPSET_IMPORT = 8
    METADATA_PROPS = 14
    TRAINING_INFO = 20
    FUNCTIONS = 25


class OperatorSetId:
    """OperatorSetIdProto."""

    DOMAIN = 1
    VERSION = 2


class StringStringEntry:
    """StringStringEntryProto, an entry of the metadata."""

    KEY = 1
    VALUE = 2


class TrainingInfo:
    """TrainingInfoProto: both fields are graphs."""

    INITIALIZATION = 1
    ALGORITHM = 2


class Function:
    """FunctionProto."""

    NODE = 7
    ATTRIBUTE_PROTO = 11


class Graph:
    """GraphProto."""

    NODE = 1
    NAME = 2
    INITIALIZER = 5
    INPUT = 11
    OUTPUT = 12
    VALUE_INFO = 13
    SPARSE_INITIALIZER = 15


class Node:
    """NodeProto."""

    INPUT = 1
    OUTPUT = 2
    NAME = 3
    OP_TYPE = 4
    ATTRIBUTE = 5
    DOMAIN = 7


class Attribute:
    """AttributeProto."""

    NAME = 1
    I = 3  # noqa: E741 - the field's name
    S = 4
    T = 5
    G = 6
    INTS = 8
    TENSORS = 10
    GRAPHS = 11
    SPARSE_TENSOR = 22
    SPARSE_TENSORS = 23


class Tensor:
    """TensorProto."""

    DIMS = 1
    DATA_TYPE = 2
    FLOAT_DATA = 4
    INT32_DATA = 5
    INT64_DATA = 7
    NAME = 8
    RAW_DATA = 9
    EXTERNAL_DATA = 13
    DATA_LOCATION = 14


class SparseTensor:
    """SparseTensorProto: both fields are tensors."""

    VALUES = 1
    INDICES = 2


class ValueInfo:
    """ValueInfoProto, an input, an output or a value inside."""

    NAME = 1
    TYPE = 2


class Type:
    """TypeProto: a tensor's type, or one of several others."""

    TENSOR_TYPE = 1
    DENOTATION = 6


class TensorType:
    """TypeProto.Tensor."""

    ELEM_TYPE = 1
    SHAPE = 2


class TensorShape:
    """TensorShapeProto."""

    DIM = 1


class Dimension:
    """TensorShapeProto.Dimension: a number or a symbol's name."""

    DIM_VALUE = 1
    DIM_PARAM = 2


class DataType:
    """TensorProto.DataType, the values of Tensor.DATA_TYPE and TensorType.ELEM_TYPE."""

    FLOAT = 1
    UINT8 = 2
    UINT16 = 4
    INT16 = 5
    INT32 = 6
    INT64 = 7
    FLOAT16 = 10
    DOUBLE = 11
    UINT32 = 12
    UINT64 = 13
    COMPLEX64 = 14
    COMPLEX128 = 15
    BFLOAT16 = 16
    UINT4 = 21
    INT4 = 22
    FLOAT4E2M1 = 23
    UINT2 = 25
    INT2 = 26
