"""What the processor can do at most, measured: products in convolutions that suit it, and a copy of memory.

The convolutions run in onnxruntime like a model's, on the same device with the same threads, so that a figure
is what the kernels reach on this machine, not what its data sheet states.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from fcn_edge_runtime.model.protobuf.fields import (
    Attribute,
    AttributeType,
    DataType,
    Dimension,
    Graph,
    Model,
    Node,
    OperatorSetId,
    Tensor,
    TensorShape,
    TensorType,
    Type,
    ValueInfo,
)
from fcn_edge_runtime.model.protobuf.writing import field, message
from fcn_edge_runtime.session.config import exact_integers
from fcn_edge_runtime.session.session import SessionOptions, open_session

__all__ = ["Peaks", "measure_peaks"]

# Convolutions that suit most processors: many channels, an input that stays in the cache.
CHANNELS, SIDE, LAYERS, KERNELS = 256, 32, 2, (1, 3)
COPIED = 64 << 20  # bytes: more than most caches hold
FEWEST = 3


@dataclass(frozen=True)
class Peaks:
    """The most that was measured on this machine.

    Attributes:
        float_macs: multiplications and additions a second, in float.
        int8_macs: the same in integers of eight bits.
        copied: bytes a second that a copy reads and writes.
    """

    float_macs: float
    int8_macs: float
    copied: float


def measure_peaks(device: str, threads: int, seconds: float, *, bf16: bool = False) -> Peaks:
    """Measure each for about a third of the time.

    Args:
        device: as for `open_session`.
        threads: of the convolutions and of the copy.
        seconds: in all.
        bf16: whether float is bfloat16 in OpenVINO.

    Raises:
        ProviderError: the device does not start.
    """
    share = seconds / 3 / len(KERNELS)
    products = {
        integers: max(
            _products(device, threads, share, kernel, integers=integers, bf16=bf16) for kernel in KERNELS
        )
        for integers in (False, True)
    }
    return Peaks(products[False], products[True], _copied(threads, seconds / 3))


def _products(device: str, threads: int, seconds: float, kernel: int, *, integers: bool, bf16: bool) -> float:
    """Products a second of convolutions."""
    options = SessionOptions(bf16=bf16, config=exact_integers() if integers else {})
    session = open_session(_convolutions(kernel, integers=integers), device, threads=threads, options=options)
    image = np.ones((1, CHANNELS, SIDE, SIDE), np.uint8 if integers else np.float32)
    macs = LAYERS * (CHANNELS * SIDE * kernel) ** 2
    return macs / _fastest(lambda: session.run(image, ["labels"]), seconds)


def _copied(threads: int, seconds: float) -> float:
    """Bytes a second that threads read and write together."""
    source = np.ones((threads, COPIED // threads), np.uint8)
    target = np.zeros_like(source)
    with ThreadPoolExecutor(threads) as pool:
        return 2 * source.nbytes / _fastest(lambda: list(pool.map(np.copyto, target, source)), seconds)


def _fastest(run: Callable[[], object], seconds: float) -> float:
    """Seconds of the fastest of several runs; the first one is not counted."""
    run()
    begun, best, done = time.perf_counter(), float("inf"), 0
    while done < FEWEST or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
        done += 1
    return best


def _convolutions(kernel: int, *, integers: bool) -> bytes:
    """An ONNX model of a few convolutions in a row, in float or, between uint8 tensors, in integers."""
    kind = DataType.UINT8 if integers else DataType.FLOAT
    shape = (1, CHANNELS, SIDE, SIDE)
    weights = np.random.default_rng(0).integers(-8, 8, (CHANNELS, CHANNELS, kernel, kernel), np.int8)
    stored = [_tensor("w", weights if integers else weights.astype(np.float32) / CHANNELS / kernel)]
    nodes: list[bytes] = []
    if integers:
        stored += [
            _tensor("w_scale", np.float32(1 / 64)),
            _tensor("w_zero", np.int8(0)),
            _tensor("scale", np.float32(1)),
            _tensor("zero", np.uint8(128)),
        ]
        nodes.append(_node("DequantizeLinear", ("w", "w_scale", "w_zero"), "w_float"))
    last = "image"
    for layer in range(LAYERS):
        after = "labels" if layer == LAYERS - 1 else f"x{layer}"
        pads = _integers("pads", (kernel // 2,) * 4)
        if integers:
            nodes += [
                _node("DequantizeLinear", (last, "scale", "zero"), f"{after}_in"),
                _node("Conv", (f"{after}_in", "w_float"), f"{after}_out", pads),
                _node("QuantizeLinear", (f"{after}_out", "scale", "zero"), after),
            ]
        else:
            nodes.append(_node("Conv", (last, "w"), after, pads))
        last = after
    ends = [message(number, *_value(name, kind, shape)) for number, name in _ENDS]
    opset = message(Model.OPSET_IMPORT, field(OperatorSetId.DOMAIN, ""), field(OperatorSetId.VERSION, 18))
    graph = message(Model.GRAPH, *nodes, field(Graph.NAME, "peak"), *stored, *ends)
    return field(Model.IR_VERSION, 10) + graph + opset


_ENDS = ((Graph.INPUT, "image"), (Graph.OUTPUT, "labels"))
_KINDS = {"float32": DataType.FLOAT, "int8": DataType.INT8, "uint8": DataType.UINT8}


def _tensor(name: str, value: np.ndarray | np.generic) -> bytes:
    array = np.asarray(value)
    return message(
        Graph.INITIALIZER,
        *[field(Tensor.DIMS, side) for side in array.shape],
        field(Tensor.DATA_TYPE, _KINDS[array.dtype.name]),
        field(Tensor.NAME, name),
        field(Tensor.RAW_DATA, array.tobytes()),
    )


def _node(op_type: str, inputs: tuple[str, ...], output: str, *attributes: bytes) -> bytes:
    return message(
        Graph.NODE,
        *[field(Node.INPUT, name) for name in inputs],
        field(Node.OUTPUT, output),
        field(Node.OP_TYPE, op_type),
        *attributes,
    )


def _integers(name: str, values: tuple[int, ...]) -> bytes:
    return message(
        Node.ATTRIBUTE,
        field(Attribute.NAME, name),
        *[field(Attribute.INTS, value) for value in values],
        field(Attribute.TYPE, AttributeType.INTS),
    )


def _value(name: str, kind: int, shape: tuple[int, ...]) -> tuple[bytes, bytes]:
    dims = [message(TensorShape.DIM, field(Dimension.DIM_VALUE, side)) for side in shape]
    tensor = field(TensorType.ELEM_TYPE, kind), message(TensorType.SHAPE, *dims)
    return field(ValueInfo.NAME, name), message(ValueInfo.TYPE, message(Type.TENSOR_TYPE, *tensor))
