"""What only a machine with an NVIDIA GPU and onnxruntime-gpu can show. Skipped elsewhere."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from fcn_edge_runtime import Segmenter

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(
        "CUDAExecutionProvider" not in onnxruntime.get_available_providers(),
        reason="this onnxruntime has no CUDA provider",
    ),
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    import torch

    import fcn_edge
    from fcn_edge_export import export
    from fcn_edge_runtime import Card

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("cuda") / "r18.onnx"
    result = export(fcn_edge.build("fcn_resnet18"), Card("r18"), path, trained=False, devices=("cpu", "cuda"))
    return path, result


def test_the_verdict_holds_on_cuda_too(exported):
    _, result = exported
    assert [v.provider for v in result.verdicts] == ["CPUExecutionProvider", "CUDAExecutionProvider"]
    assert all(v.passed for v in result.verdicts)


def test_auto_takes_cuda_and_says_so(exported):
    with Segmenter(exported[0]) as segmenter:
        assert segmenter.session.device == "cuda"
        assert "auto" in segmenter.session.why


def test_cuda_decides_like_the_cpu_at_any_size(exported):
    rng = np.random.default_rng(3)
    with Segmenter(exported[0], "cpu") as cpu, Segmenter(exported[0], "cuda") as cuda:
        for height, width in ((64, 64), (97, 131), (480, 640), (31, 700)):
            image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            assert (cpu(image).labels == cuda(image).labels).mean() > 0.995
