"""PyTorch as its guides describe: channels_last, inference_mode, torch.compile with frozen weights.

int8 is torchao's PT2E flow for x86 (X86InductorQuantizer), lowered by torch.compile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.comparison.contract import Frame, Labels, Materials, NotOffered, Prepare, Prepared
from benchmarks.comparison.engines.torch_net import build, calibration, whole

if TYPE_CHECKING:
    from torch import nn

__all__ = ["VARIANTS"]


def _eager(materials: Materials) -> Prepared:
    return _prepared(materials, _channels_last(materials), "eager, channels_last, inference_mode")


def _compiled(materials: Materials) -> Prepared:
    module = _compile(_channels_last(materials))
    return _prepared(materials, module, "torch.compile, frozen weights, channels_last, inference_mode")


def _bfloat16(materials: Materials) -> Prepared:
    import torch

    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():  # noqa: SLF001 - the only way to ask
        raise NotOffered("this CPU has no bfloat16 instructions, and PyTorch would emulate them")
    module = _channels_last(materials)

    def run(frame: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return module(frame)

    return _prepared(materials, _compile(run), "autocast bfloat16, torch.compile, channels_last")


def _int8(materials: Materials) -> Prepared:
    import torch

    try:
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86
    except ImportError:
        raise NotOffered("int8 needs torchao, which is not in this environment") from None
    frames = list(calibration(materials))
    exported = torch.export.export(build(materials), (frames[0],), strict=True).module()
    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
    prepared = prepare_pt2e(exported, quantizer)
    with torch.no_grad():
        for frame in frames:
            prepared(frame)
    module = _compile(whole(materials, convert_pt2e(prepared)))
    return _prepared(materials, module, "torchao PT2E, X86InductorQuantizer, torch.compile, frozen weights")


def _channels_last(materials: Materials) -> nn.Module:
    import torch

    net: nn.Module = build(materials).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return whole(materials, net).eval()


def _compile(module: Any) -> Any:
    import torch
    import torch._inductor.config

    torch._inductor.config.freezing = True  # noqa: SLF001 - the documented switch for inference
    return torch.compile(module)


def _prepared(materials: Materials, module: Any, how: str) -> Prepared:
    import torch

    torch.set_num_threads(materials.threads)

    def label(frame: Frame) -> Labels:
        with torch.inference_mode():
            labels: Labels = module(torch.from_numpy(frame)).numpy()
        return labels

    return Prepared(label, how, {"torch": torch.__version__})


VARIANTS: dict[str, Prepare] = {
    "fp32 eager": _eager,
    "fp32 compiled": _compiled,
    "bf16": _bfloat16,
    "int8": _int8,
}
