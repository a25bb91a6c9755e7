"""A TFLite file of MediaPipe's selfie segmentation becomes a safetensors file of `fcn_portrait`, bit for bit.

    pip install tflite
    npm pack @mediapipe/selfie_segmentation && tar xzf mediapipe-selfie_segmentation-*.tgz
    python -m models.portrait.convert package/selfie_segmentation.tflite -o portrait.safetensors

The convolutions of the graph are in the order of the network's modules. Their weights are float16, and stay
so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from safetensors.numpy import save_file
from torch import nn

from fcn_edge.nets.zoo.portrait import fcn_portrait
from fcn_edge_runtime.errors import CheckpointError

FLOAT16 = 1  # tflite.TensorType
CONVOLUTION, DEPTHWISE, DEQUANTIZE, CUSTOM = 3, 4, 6, 32  # tflite.BuiltinOperator


def convert(path: Path) -> dict[str, np.ndarray]:
    """The state dict of `fcn_portrait(num_classes=1)`, float16.

    Raises:
        CheckpointError: the graph has other convolutions than the network.
    """
    net = fcn_portrait(num_classes=1)
    modules = [(n, m) for n, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    found = list(_convolutions(path.read_bytes()))
    if len(found) != len(modules):
        raise CheckpointError(f"{path} has {len(found)} convolutions, expected {len(modules)}")
    state: dict[str, np.ndarray] = {}
    for (name, module), (weight, bias) in zip(modules, found, strict=True):
        expected = tuple(module.weight.shape)
        if weight.shape != expected:
            raise CheckpointError(f"{path} has a weight {weight.shape} at {name}, expected {expected}")
        state[f"{name}.weight"], state[f"{name}.bias"] = np.ascontiguousarray(weight), bias
    return state


def _convolutions(data: bytes) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Weight, in PyTorch's order of axes, and bias of each convolution, in the order in which they run."""
    from tflite.Model import Model

    model = Model.GetRootAs(data)
    graph = model.Subgraphs(0)
    stored: dict[int, int] = {}  # the float16 tensor behind each float32 one
    for operator in (graph.Operators(i) for i in range(graph.OperatorsLength())):
        entry = model.OperatorCodes(operator.OpcodeIndex())
        code, inputs = max(entry.BuiltinCode(), entry.DeprecatedBuiltinCode()), operator.InputsAsNumpy()
        if code == DEQUANTIZE:
            stored[operator.Outputs(0)] = inputs[0]
        elif code in (CONVOLUTION, DEPTHWISE, CUSTOM):
            weight, bias = (_values(model, graph, stored[i]) for i in inputs[1:3])
            # From (outputs, height, width, inputs); depthwise and one output: (1, height, width, channels).
            yield weight.transpose((0, 3, 1, 2) if code == CONVOLUTION else (3, 0, 1, 2)), bias


def _values(model: Any, graph: Any, index: int) -> np.ndarray:
    tensor = graph.Tensors(index)
    if tensor.Type() != FLOAT16:
        raise CheckpointError(f"tensor {tensor.Name()} has type {tensor.Type()}, expected {FLOAT16}, float16")
    return model.Buffers(tensor.Buffer()).DataAsNumpy().view("<f2").reshape(tensor.ShapeAsNumpy())


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="NAME.safetensors.")
def main(file: Path, output: Path) -> None:
    """Convert the TFLite FILE."""
    state = convert(file)
    save_file(state, output)
    click.echo(f"{output}: {sum(value.size for value in state.values())} parameters of {len(state)} tensors")


if __name__ == "__main__":
    main()
