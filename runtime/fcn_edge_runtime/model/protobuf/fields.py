"""The names of protobuf field numbers, one class a message of ONNX.

Each class is called like the message without its "Proto", each number like the field, in upper case. Only the
fields that are read or written here. The source is
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, and a test compares them with the `onnx` package.
"""

from __future__ import annotations

__all__ = [
    "Attribute",
    "AttributeType",
    "DataType",
    "Dimension",
    "Graph",
    "Model",
    "Node",
    "OperatorSetId",
    "StringStringEntry",
    "Tensor",
    "TensorShape",
    "TensorType",
    "Type",
    "ValueInfo",
]


class Model:
    """ModelProto, the whole file."""

    IR_VERSION = 1
    GRAPH = 7
    OPSET_IMPORT = 8
    PRODUCER_NAME = 2
    PRODUCER_VERSION = 3
    DOMAIN = 4
    MODEL_VERSION = 5
    DOC_STRING = 6
    METADATA_PROPS = 14


class OperatorSetId:
    """OperatorSetIdProto."""

    DOMAIN = 1
    VERSION = 2


class StringStringEntry:
    """StringStringEntryProto, an entry of the metadata."""

    KEY = 1
    VALUE = 2


class Graph:
    """GraphProto."""

    NODE = 1
    NAME = 2
    INITIALIZER = 5
    DOC_STRING = 10
    INPUT = 11
    OUTPUT = 12
    VALUE_INFO = 13
    METADATA_PROPS = 16


class Node:
    """NodeProto."""

    INPUT = 1
    OUTPUT = 2
    NAME = 3
    OP_TYPE = 4
    ATTRIBUTE = 5
    DOC_STRING = 6
    DOMAIN = 7
    METADATA_PROPS = 9


class Attribute:
    """AttributeProto."""

    NAME = 1
    F = 2
    I = 3  # noqa: E741 - the field's name
    S = 4
    T = 5
    FLOATS = 7
    INTS = 8
    DOC_STRING = 13
    TYPE = 20


class AttributeType:
    """AttributeProto.AttributeType, the values of Attribute.TYPE."""

    FLOAT = 1
    INT = 2
    STRING = 3
    TENSOR = 4
    FLOATS = 6
    INTS = 7


class Tensor:
    """TensorProto."""

    DIMS = 1
    DATA_TYPE = 2
    FLOAT_DATA = 4
    INT32_DATA = 5
    INT64_DATA = 7
    NAME = 8
    RAW_DATA = 9
    DOUBLE_DATA = 10
    UINT64_DATA = 11
    DOC_STRING = 12
    EXTERNAL_DATA = 13
    DATA_LOCATION = 14
    METADATA_PROPS = 16


class ValueInfo:
    """ValueInfoProto, an input, an output or a value inside."""

    NAME = 1
    TYPE = 2
    DOC_STRING = 3
    METADATA_PROPS = 4


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
    DENOTATION = 3


class DataType:
    """TensorProto.DataType, the values of Tensor.DATA_TYPE and TensorType.ELEM_TYPE."""

    FLOAT = 1
    UINT8 = 2
    INT8 = 3
    UINT16 = 4
    INT16 = 5
    INT32 = 6
    INT64 = 7
    BOOL = 9
    FLOAT16 = 10
    DOUBLE = 11
    UINT32 = 12
    UINT64 = 13
