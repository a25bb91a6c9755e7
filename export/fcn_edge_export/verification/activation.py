"""Whether a network returns probabilities where logits are expected: found in its graph and in its values.

A file thresholds the one logit of a binary network at 0, and makes confidences by a softmax. A network that
ends in a sigmoid is never below 0, so that every label would be 1; one that ends in a softmax would give
confidences that are too low. PyTorch's own values would agree with both.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from fcn_edge_export.graph.names import LOGITS
from fcn_edge_export.verification.measure import Measurement
from fcn_edge_runtime.errors import UsageError

__all__ = ["last_activation", "require_logits"]

_ACTIVATIONS = {"Sigmoid": "sigmoid", "HardSigmoid": "sigmoid", "Softmax": "softmax"}
_MOVING = ("Resize", "Slice", "Identity", "Pad", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Clip")


def require_logits(
    network: onnx.ModelProto, measured: Sequence[Measurement], classes: int, outputs: Sequence[str]
) -> None:
    """Do nothing if the network returns logits, as far as its graph and its values tell.

    Args:
        network: with the output `logits`.
        measured: of the inputs of the verification.
        classes: that its logits are of.
        outputs: of the file: class labels alone do not depend on a softmax or sigmoid of several classes.

    Raises:
        UsageError: it returns probabilities, and the file would be wrong.
    """
    lowest, highest = min(m.lowest for m in measured), max(m.highest for m in measured)
    last = last_activation(network)
    ends = f"it ends in {last}, and " if last else ""
    values = f"{ends}its values lie between {lowest:.3g} and {highest:.3g}"
    if classes == 1 and (lowest >= 0 or last == "Sigmoid"):
        raise UsageError(
            f"the network's one logit is never below 0 ({values}), so every pixel would be labeled 1: it "
            "seems to return probabilities. Give --activation sigmoid to threshold them at 0.5, or "
            "--activation none if these are logits"
        )
    probabilities = last in _ACTIVATIONS or (lowest >= 0 and highest <= 1)
    if classes > 1 and probabilities and set(outputs) & {"confidence", "probabilities"}:
        raise UsageError(
            f"the network returns probabilities where logits are expected ({values}), so confidences would "
            f"be wrong: give --activation {_ACTIVATIONS.get(last, 'softmax')}, which undoes it, or "
            "--activation none if these are logits"
        )


def last_activation(network: onnx.ModelProto) -> str:
    """The activation that the logits come from, through operators that only move values; else empty."""
    producer = {name: node for node in network.graph.node for name in node.output}
    node = producer.get(LOGITS)
    while node is not None and node.op_type in _MOVING:
        node = producer.get(node.input[0])
    return node.op_type if node is not None and node.op_type in _ACTIVATIONS else ""
