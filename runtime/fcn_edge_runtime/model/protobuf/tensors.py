"""Stored tensors: what they declare, compared with the data they have, and the values of small ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.protobuf.fields import DataType, Tensor
from fcn_edge_runtime.model.protobuf.reading import BYTES, VARINT, Reader, Span, damaged, unwritten

if TYPE_CHECKING:  # imported where needed, see NUMPY_TYPES
    import numpy as np

__all__ = ["ITEM_SIZES", "MAX_RANK", "NUMPY_TYPES", "TensorView", "read_tensor"]

MAX_RANK = 16
MAX_SIDE = 1 << 40  # far above any file, far below where products of a few overflow

# The types of tensors that a network computes with, by numpy's names. Not its dtypes: shell completion reads
# cards without numpy.
NUMPY_TYPES = {
    DataType.FLOAT: "<f4",
    DataType.UINT8: "|u1",
    DataType.INT8: "|i1",
    DataType.UINT16: "<u2",
    DataType.INT16: "<i2",
    DataType.INT32: "<i4",
    DataType.INT64: "<i8",
    DataType.BOOL: "|b1",
    DataType.FLOAT16: "<f2",
    DataType.DOUBLE: "<f8",
    DataType.UINT32: "<u4",
    DataType.UINT64: "<u8",
}
ITEM_SIZES = {key: int(name[2]) for key, name in NUMPY_TYPES.items()}
# The typed field that may hold the data instead of raw_data, where it is another than int32_data.
_TYPED = {
    DataType.FLOAT: Tensor.FLOAT_DATA,
    DataType.DOUBLE: Tensor.DOUBLE_DATA,
    DataType.INT64: Tensor.INT64_DATA,
    DataType.UINT32: Tensor.UINT64_DATA,
    DataType.UINT64: Tensor.UINT64_DATA,
}
_FIXED = (Tensor.FLOAT_DATA, Tensor.DOUBLE_DATA, Tensor.RAW_DATA)
_DATA = frozenset((*_FIXED, Tensor.INT32_DATA, Tensor.INT64_DATA, Tensor.UINT64_DATA))
_SKIPPED = frozenset((Tensor.DOC_STRING, Tensor.METADATA_PROPS))
_NOT_LAST = bytes(range(0x80, 0x100))  # the bytes of a packed number before its last
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = Tensor.DIMS, Tensor.DATA_TYPE, Tensor.NAME, Tensor.RAW_DATA


class TensorView(NamedTuple):
    """A stored tensor whose data has exactly the size that it declares.

    Attributes:
        name: empty if it has none, as in an attribute.
        data_type: one of NUMPY_TYPES.
        dims: its shape.
        elements: their product.
        field: which field of the message holds the data; 0 where there is none.
        span: where the data is.
        reader: of the message.
    """

    name: str
    data_type: int
    dims: tuple[int, ...]
    elements: int
    field: int
    span: Span
    reader: Reader

    def values(self) -> np.ndarray:
        """The elements, in the shape. Copied: ask only for small tensors."""
        import numpy as np

        dtype = np.dtype(NUMPY_TYPES[self.data_type])
        first, last = self.span
        if not self.elements:
            return np.zeros(self.dims, dtype)
        if self.field in _FIXED:
            return np.frombuffer(self.reader.buffer[first:last], dtype).reshape(self.dims).copy()
        numbers = np.array(list(self.reader.packed(BYTES, first, last)), np.uint64)
        if dtype.kind == "f":  # float16 is stored as its bits
            return numbers.astype(np.uint16).view(np.float16).reshape(self.dims)
        return numbers.astype(dtype).reshape(self.dims)


def read_tensor(  # noqa: C901 - one branch a field
    reader: Reader, start: int, end: int
) -> TensorView:
    """The stored tensor in buffer[start:end].

    Raises:
        ModelError: its data is outside the file, missing, written twice, or not of the declared size; or its
            type or a field is one that an export never writes.
    """
    name: str | None = None
    data_type = field = 0
    span = (start, start)
    dims: list[int] = []
    external = False
    for number, wire, value, stop in reader.fields(start, end):
        if number == _DIMS:
            dims += reader.packed(wire, value, stop)
            if len(dims) > MAX_RANK:
                raise damaged(f"a tensor has more than {MAX_RANK} dimensions")
        elif number == _DATA_TYPE and wire == VARINT and not data_type:
            data_type = value
        elif number == _NAME and wire == BYTES and name is None:
            name = reader.text(value, stop)
        elif number in _DATA and wire == BYTES and not field:
            field, span = number, (value, stop)
        elif number == Tensor.EXTERNAL_DATA or (number == Tensor.DATA_LOCATION and value):
            external = True
        elif number not in _SKIPPED and number != Tensor.DATA_LOCATION:
            raise unwritten(f"a tensor with the field {number} twice, or of another form")
    if external:
        raise ModelError(
            f"the file keeps weights outside the file (such as {name or ''}), "
            "expected one file that holds everything: export again"
        )
    if data_type not in NUMPY_TYPES:
        raise unwritten(f"a tensor of type {data_type}")
    if dims and max(dims) > MAX_SIDE:
        raise damaged(f"a tensor declares a side of {max(dims)}")
    view = TensorView(name or "", data_type, tuple(dims), math.prod(dims), field, span, reader)
    _check_data(view)
    return view


def _check_data(view: TensorView) -> None:
    """Refuse a tensor whose data is not of its declared size, or in a field of another type."""
    size = ITEM_SIZES[view.data_type]
    first, last = view.span
    if view.field == _RAW_DATA or view.field in _FIXED:
        there = (last - first) / size
    elif view.field:  # every number of a packed list ends in a byte below 128
        there = len(bytes(view.reader.buffer[first:last]).translate(None, _NOT_LAST))
    else:
        there = 0.0
    if view.field not in (0, _RAW_DATA, _TYPED.get(view.data_type, Tensor.INT32_DATA)):
        raise unwritten(f"a tensor whose data is not of its type {view.data_type}")
    if there != view.elements:
        raise damaged(
            f"it declares a tensor of {view.elements * size} bytes, {view.name!r}, with data for {there:g} "
            f"of its {view.elements} elements"
        )
