"""ExecuTorch with the XNNPACK delegate as its guide describes: torch.export, lower, PT2E quantizer for int8.

Normalization and argmax stay outside, in PyTorch: the delegate takes neither uint8 nor argmax, and the
portable kernels that would run them are slow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.comparison.contract import Frame, Labels, Materials, NotOffered, Prepare, Prepared
from benchmarks.comparison.engines.torch_net import build, calibration, normalizer

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["VARIANTS"]


def _float32(materials: Materials) -> Prepared:
    import torch

    frame = _example(materials)
    program = torch.export.export(build(materials), (frame,))
    return _lowered(materials, program, "fp32", torch.float32)


def _float16(materials: Materials) -> Prepared:
    import torch

    program = torch.export.export(build(materials).half(), (_example(materials).half(),))
    return _lowered(materials, program, "fp16", torch.float16)


def _int8(materials: Materials) -> Prepared:
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    example = _example(materials)
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(torch.export.export(build(materials), (example,)).module(), quantizer)
    with torch.no_grad():
        for frame in calibration(materials):
            prepared(frame.contiguous())
    program = torch.export.export(convert_pt2e(prepared), (example,))
    return _lowered(materials, program, "int8, PT2E quantizer, per channel", torch.float32)


def _example(materials: Materials) -> Tensor:
    import torch

    return torch.zeros(1, 3, materials.height, materials.width)


def _lowered(materials: Materials, program: Any, how: str, dtype: Any) -> Prepared:
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime
    from executorch.version import __version__

    edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    delegates = sum("executorch_call_delegate" in str(n.target) for n in edge.exported_program().graph.nodes)
    if delegates == 0:
        raise NotOffered("the XNNPACK partitioner supports no part of this network at this precision")
    portable_lib._unsafe_reset_threadpool(materials.threads)  # noqa: SLF001 - the only way to set threads
    torch.set_num_threads(materials.threads)
    # The program must outlive the method, so both are kept.
    loaded = Runtime.get().load_program(edge.to_executorch().buffer)
    method = loaded.load_method("forward")
    if method is None:
        raise NotOffered("the lowered program has no forward")
    normalize = normalizer(materials)

    def label(frame: Frame, _keep: Any = loaded) -> Labels:
        with torch.inference_mode():
            x = normalize(torch.from_numpy(frame)).to(dtype).contiguous()
            (logits,) = method.execute((x,))
            labels: Labels = logits.max(1).indices[0].to(torch.uint8).numpy()
        return labels

    words = f"XNNPACK delegate in {delegates} part{'s' * (delegates > 1)}, {how}; PyTorch normalizes, argmax"
    return Prepared(label, words, {"executorch": __version__, "torch": torch.__version__})


VARIANTS: dict[str, Prepare] = {"fp32": _float32, "fp16": _float16, "int8": _int8}
