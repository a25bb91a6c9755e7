"""Which graphs make each logit of a window, with height and width apart from each other."""

from __future__ import annotations

import onnx.parser
import pytest

from fcn_edge_export.graph.local import is_local

SIZE = """
    height = Shape<start=2, end=3>(normalized)
    width = Shape<start=3, end=4>(normalized)
    zero = Constant<value = int64[1] {0}>()
    one = Constant<value = int64[1] {1}>()
    two = Constant<value = int64[1] {2}>()
"""
LOCAL = {
    "convolution": "logits = Conv(normalized, weight)",
    "resize": """low = AveragePool<kernel_shape=[2, 2], strides=[2, 2]>(normalized)
        outer = Shape<start=0, end=2>(low)
        sizes = Concat<axis=0>(outer, height, width)
        logits = Resize<mode="linear">(low, , , sizes)""",
    "halved": """half = Div(height, two)
        ends = Concat<axis=0>(half, width)
        axes = Concat<axis=0>(two, one)
        starts = Concat<axis=0>(zero, zero)
        logits = Slice(normalized, starts, ends, axes)""",
}
OTHER = {
    "mean of the map": "logits = GlobalAveragePool(normalized)",
    "sum along the rows": "logits = CumSum(normalized, two)",
    "position": """step = Constant<value = int64 {1}>()
        none = Constant<value = int64 {0}>()
        end = Squeeze(width)
        columns = Range(none, end, step)
        position = Cast<to=1>(columns)
        logits = Add(normalized, position)""",
    "size as a value": """share = Cast<to=1>(height)
        logits = Div(normalized, share)""",
    "table of columns": """rows = Slice(weight, zero, width, two)
        logits = Add(normalized, rows)""",
    "area": """area = Mul(height, width)
        outer = Shape<start=0, end=2>(normalized)
        sizes = Concat<axis=0>(outer, area, width)
        logits = Resize<mode="linear">(normalized, , , sizes)""",
    "branch on the size": """much = Constant<value = int64[1] {500}>()
        large = Greater(height, much)
        logits = If (large) <
            then_branch = g () => (float[N, 3, H, W] a) { a = Neg(normalized) },
            else_branch = h () => (float[N, 3, H, W] b) { b = Abs(normalized) }
        >""",
    "unknown operator": "logits = GridSample(normalized, weight)",
    "values that shape": """zeros = Cast<to=7>(normalized)
        logits = Slice(normalized, zeros, height)""",
}


def graph(body):
    return onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 18]>'
        "net (float[N, 3, H, W] normalized) => (float[N, 3, H, W] logits)"
        "<float[3, 3, 1, 1] weight = {1, 0, 0, 0, 1, 0, 0, 0, 1}>"
        "{" + SIZE + body + "}"
    )


@pytest.mark.parametrize("body", LOCAL.values(), ids=LOCAL)
def test_windows_of_an_image_are_local(body):
    assert is_local(graph(body))


@pytest.mark.parametrize("body", OTHER.values(), ids=OTHER)
def test_what_sees_more_than_a_window_is_not_local(body):
    assert not is_local(graph(body))
