"""Which tensor of a given file holds its logits: behind them a file may decide, activate, and reorder.

    logits -> (Softmax | Sigmoid) -> (ArgMax | TopK | Greater) -> Cast, Squeeze, Reshape, colors ... -> output

A file of ours decides by itself, so the tensor before is taken. Whether the given file's own output decides
as that tensor does is compared by running it, see `decides_alike`: no name and no axis is trusted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from fcn_edge_export.brevity import listed
from fcn_edge_runtime.errors import UsageError

__all__ = ["Taken", "candidates", "decides_alike"]

Array = npt.NDArray[Any]
_MOVING = ("Cast", "Identity", "Squeeze", "Unsqueeze", "Transpose", "Reshape", "Flatten")
_SCALING = ("Mul", "Div", "Add", "Sub")  # of labels: 255 for what is 1, or numbers from 1 on
_ACTIVATIONS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
_THRESHOLDS = ("Greater", "GreaterOrEqual")
_TIES = 0.01  # share of pixels that may be decided otherwise: those of equal logits


@dataclass(frozen=True)
class Taken:
    """The tensor of a file that is taken as its logits.

    Attributes:
        tensor: its name.
        output: the output of the file that it leads to.
        without: the operators behind it that were left out, such as "Softmax and ArgMax"; empty for none.
        activation: what that operator had applied to the logits: "none", "sigmoid" or "softmax".
        threshold: above which value, of that activation, the output is 1; None where it takes the largest.
        keeps_classes: whether the output has a label for each class, in their order.
    """

    tensor: str
    output: str
    without: str = ""
    activation: str = "none"
    threshold: float | None = None
    keeps_classes: bool = True

    @property
    def decides(self) -> bool:
        """Whether what was left out goes over an axis, or decides: that axis may be another one."""
        return self.without not in ("", "Sigmoid")


def candidates(path: object, model: onnx.ModelProto, wanted: str | None) -> list[Taken]:
    """Tensors that may hold the logits, for each output those nearest to it first.

    Args:
        path: of the file, named in messages.
        model: of the file.
        wanted: the name of an output or of a tensor inside; None is every output.

    Raises:
        UsageError: there is none of the wanted name, or the file has no outputs.
    """
    producers = {name: node for node in model.graph.node for name in node.output}
    outputs = [output.name for output in model.graph.output]
    if wanted is not None and wanted not in producers:
        raise UsageError(
            f"{path} has no tensor {wanted[:80]!r}, expected an output, one of {listed(outputs)}, or a "
            "tensor inside"
        )
    if wanted is None and not outputs:
        raise UsageError(f"{path} declares no output: name the tensor of its logits with --output-name")
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    found: dict[str, Taken] = {}
    for name in outputs if wanted is None else [wanted]:
        for taken in _before(name, producers, constants):
            if taken.tensor in producers:
                found.setdefault(taken.tensor, taken)
    return list(found.values())


def decides_alike(output: Array, logits: Array) -> bool:
    """Whether an output of a file decides as the logits that were taken from inside of it.

    Args:
        output: labels, masks, colors, or scores in any order of axes.
        logits: [batch, classes, height, width], one score or one a class.
    """
    n, c, h, w = logits.shape
    labels = logits[:, 0] > 0 if c == 1 else logits.argmax(1)
    if output.size == labels.size:
        values = output.reshape(labels.shape)
        values = values > 0.5 if c == 1 and len(np.unique(values)) > 2 else values
        return _follows(values, labels, ordered=True)
    if output.size == logits.size:
        last = output.shape[-1] == c and output.shape[1:2] != (c,)
        scores = output.reshape(n, h, w, c).argmax(3) if last else output.reshape(n, c, h, w).argmax(1)
        return _follows(scores, labels)
    if output.ndim != 4 or (output.shape[2:] != (h, w) and output.shape[1:3] != (h, w)):
        return False
    colors = np.moveaxis(output, 1 if output.shape[2:] == (h, w) else 3, 0)
    return _follows(sum(part.astype(np.int64) << 8 * place for place, part in enumerate(colors)), labels)


def _follows(values: Any, labels: Array, *, ordered: bool = False) -> bool:
    """Whether each label has a value of its own, at all but a few pixels; and larger labels larger ones."""
    ids = np.stack([np.unique(part, return_inverse=True)[1].ravel() for part in (labels, values)])
    table = np.zeros(ids.max(1) + 1, np.int64)
    np.add.at(table, tuple(ids), 1)
    alike = min(table.max(axis).sum() for axis in (0, 1)) >= (1 - _TIES) * labels.size
    return bool(alike) and (not ordered or _in_order_of_labels(table))


def _in_order_of_labels(table: Array) -> bool:
    """Whether a larger label has a larger value; those of a few pixels are left out."""
    seen = table[table.sum(1) > _TIES * table.sum()]
    return bool((np.diff(seen.argmax(1)) > 0).all())


def _before(
    output: str, producers: dict[str, onnx.NodeProto], constants: dict[str, onnx.TensorProto]
) -> Iterator[Taken]:
    """The tensors before a decision and an activation, and those before they were reordered."""
    taken = Taken(output, output)
    left_out: list[str] = []
    decided = _decision(output, producers, constants)
    if decided is not None:
        decision, keeps_classes = producers[decided[0]], decided[1]
        left_out = [decision.op_type]
        above = _values(constants[decision.input[1]]) if decision.op_type in _THRESHOLDS else None
        threshold = None if above is None else float(above.max())
        taken = Taken(
            decision.input[0], output, left_out[0], threshold=threshold, keeps_classes=keeps_classes
        )
    activated = _through(taken.tensor, producers)
    node = producers.get(activated)
    if node is not None and node.op_type in _ACTIVATIONS:
        without = " and ".join([node.op_type, *left_out])
        taken = replace(taken, tensor=node.input[0], without=without, activation=_ACTIVATIONS[node.op_type])
    tensor = taken.tensor
    while (node := producers.get(tensor)) is not None and node.op_type in _MOVING:
        if node.op_type != "Identity":
            yield replace(taken, tensor=tensor)
        tensor = node.input[0]
    yield replace(taken, tensor=tensor)


def _through(tensor: str, producers: dict[str, onnx.NodeProto]) -> str:
    while (node := producers.get(tensor)) is not None and node.op_type in _MOVING:
        tensor = node.input[0]
    return tensor


def _decision(
    tensor: str, producers: dict[str, onnx.NodeProto], constants: dict[str, onnx.TensorProto]
) -> tuple[str, bool] | None:
    """The result of the operator that makes labels of scores, if all behind it only writes them otherwise.

    With it, whether a label of each class remains, in their order.
    """
    keeps_classes = True
    while (node := producers.get(tensor)) is not None:
        if node.op_type == "ArgMax" or (node.op_type == "TopK" and tensor == node.output[1]):
            return tensor, keeps_classes and all(a.name != "largest" or a.i for a in node.attribute)
        if node.op_type in _THRESHOLDS:
            return (tensor, keeps_classes) if node.input[1] in constants else None
        written = node.op_type in _SCALING and sum(name in constants for name in node.input) == 1
        if node.op_type == "Gather" and node.input[0] in constants:
            table = _values(constants[node.input[0]])
            keeps_classes &= table.ndim > 1 or bool((np.diff(table.astype(np.float64)) > 0).all())
            tensor = node.input[1]
        elif node.op_type in ("Where", "Resize"):
            tensor = node.input[0]
        elif node.op_type in _MOVING or written:
            tensor = next(name for name in node.input if name not in constants)
        else:
            return None
    return None


def _values(tensor: onnx.TensorProto) -> Array:
    return numpy_helper.to_array(tensor)
