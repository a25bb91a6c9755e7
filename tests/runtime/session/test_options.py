from __future__ import annotations

import pytest

from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.session import cpu
from fcn_edge_runtime.session.options import (
    CPU,
    CUDA,
    OPENVINO,
    SessionOptions,
    cautious,
    decided,
    shortcuts,
)


@pytest.mark.parametrize(("release", "spinning"), [("1.18.0", False), ("1.25.9", False), ("1.26.0", True)])
def test_threads_spin_where_onnxruntime_limits_it(release, spinning):
    assert decided(SessionOptions(), CPU, "float32", release).spinning is spinning
    assert decided(SessionOptions(spinning=True), CPU, "float32", release).spinning
    assert not decided(SessionOptions(spinning=False), CPU, "float32", release).spinning


@pytest.mark.parametrize(
    ("provider", "precision", "natively", "expected"),
    [
        (OPENVINO, "int8", True, True),
        (OPENVINO, "int8", False, False),
        (OPENVINO, "float32", True, False),
        (CPU, "int8", True, False),
    ],
)
def test_bfloat16_is_for_int8_files_in_openvino(monkeypatch, provider, precision, natively, expected):
    monkeypatch.setattr(cpu, "computes_in_bfloat16", lambda: natively)
    options = decided(SessionOptions(), provider, precision, "1.26.0")
    assert options.bf16 is expected
    assert shortcuts(options) == ("float operators in bfloat16" if expected else "")
    assert not decided(cautious(SessionOptions()), provider, precision, "1.26.0").bf16


@pytest.mark.parametrize(
    ("provider", "precision", "expected"),
    [(CUDA, "fp16", True), (CUDA, "float32", False), (CPU, "fp16", False)],
)
def test_channels_last_is_for_fp16_files_on_cuda(provider, precision, expected):
    options = decided(SessionOptions(), provider, precision, "1.26.0")
    assert options.nhwc is expected
    assert shortcuts(options) == ("convolutions with the channels last" if expected else "")
    assert not decided(cautious(SessionOptions()), provider, precision, "1.26.0").nhwc


def test_what_was_asked_for_stays_with_caution():
    assert cautious(SessionOptions(bf16=True, nhwc=True)) == SessionOptions(bf16=True, nhwc=True)


def test_channels_last_is_refused_where_cuda_does_not_run():
    with pytest.raises(UsageError, match="got nhwc for the device 'cpu', expected cuda"):
        decided(SessionOptions(nhwc=True), CPU, "fp16", "1.26.0")
