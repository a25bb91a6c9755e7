"""What onnxruntime is configured with: options of a session and of its provider."""

from __future__ import annotations

import os
from typing import Any

from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.session.options import CPU, CUDA, OPENVINO, SessionOptions

__all__ = [
    "OPTIMIZATIONS",
    "UNWANTED_OPTIMIZERS",
    "exact_integers",
    "needed_config",
    "provider_options",
    "session_options",
]

_OPTIMIZATION = {
    "all": "ORT_ENABLE_ALL",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "none": "ORT_DISABLE_ALL",
}
OPTIMIZATIONS = tuple(_OPTIMIZATION)
# No folder can exist below a device, so external data is never found there.
_EMPTY_FOLDER = "/dev/null/none" if os.name == "posix" else "NUL\\none"
# x86 before VNNI adds two 8-bit products in 16 bits, which saturate: this avoids it, at some cost in time.
# It must be off where nothing saturates: with AMX it makes int8 two and a half times as slow.
_EXACT = {"session.x64quantprecision": "1"}
# Weights of 8 bits are unpacked once. By default onnxruntime leaves them packed for operators that take
# integers, of which such a file has none, and unpacks them in each frame.
_UNPACKED = {"session.disable_quant_qdq": "1"}
# It would quantize convolutions that a file keeps in float because int8 ruins them.
UNWANTED_OPTIMIZERS = ["WeightBiasQuantization"]
# Longer than the time between most operators, and too short for other programs to notice.
_SPIN_MICROSECONDS = "30"
_BFLOAT16 = '{"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}}'


def exact_integers() -> dict[str, str]:
    """The configuration with which this processor multiplies 8-bit integers without saturating."""
    from fcn_edge_runtime.session.cpu import adds_exactly  # float files do not need it

    return {} if adds_exactly() else dict(_EXACT)


def needed_config(precision: str, target: str = "") -> dict[str, str]:
    """The configuration with which files of a precision, for a target, are right and fast here."""
    if precision == "int8-weights":
        return dict(_UNPACKED)
    # Weights for x86 before VNNI use 7 bits: their products do not saturate.
    return exact_integers() if precision == "int8" and target != "x86" else {}


def session_options(
    runtime: Any, model: ModelFile | bytes, provider: str, threads: int, options: SessionOptions
) -> Any:
    """The SessionOptions of onnxruntime itself.

    Args:
        runtime: the module onnxruntime.
        model: that is loaded with them; its precision may need some.
        provider: onnxruntime's name of the provider.
        threads: of one operator on the CPU.
        options: decided ones.

    Raises:
        UsageError: an option is out of range.
    """
    if options.optimization not in _OPTIMIZATION:
        raise UsageError(
            f"optimization is {options.optimization!r}, expected one of {', '.join(_OPTIMIZATION)}"
        )
    made = runtime.SessionOptions()
    made.graph_optimization_level = getattr(
        runtime.GraphOptimizationLevel, _OPTIMIZATION[options.optimization]
    )
    made.intra_op_num_threads = threads
    made.inter_op_num_threads = 1
    made.enable_mem_pattern = options.mem_pattern
    made.enable_cpu_mem_arena = options.cpu_arena
    # The text of an error is in the exception; a provider that does not start gives its reason only here.
    made.log_severity_level = 4 if provider == CPU else 3
    if options.profile_prefix:
        made.enable_profiling = True
        made.profile_file_prefix = options.profile_prefix
    config = {
        "session.intra_op.allow_spinning": str(int(bool(options.spinning))),
        "session.intra_op.spin_duration_us": _SPIN_MICROSECONDS,
        "session.inter_op.allow_spinning": "0",
        # By default onnxruntime spins after a frame, for 50 ms and 35 ms of processor time.
        "session.force_spinning_stop": str(int(bool(options.spinning))),
        "session.model_external_initializers_file_folder_path": _EMPTY_FOLDER,
        **_needed_by(model),
        **({} if provider == CPU else {"session.record_ep_graph_assignment_info": "1"}),
        **options.config,
    }
    for key, value in config.items():
        made.add_session_config_entry(key, value)
    if options.size is not None:
        for axis, length in zip(("batch", "height", "width"), (1, *options.size), strict=True):
            made.add_free_dimension_override_by_name(axis, length)
    return made


def provider_options(
    model: ModelFile | bytes, provider: str, threads: int, options: SessionOptions
) -> dict[str, str]:
    """The provider's own options, by key; the arguments are those of `session_options`."""
    if provider == OPENVINO:  # it has its own threads, eight by default
        return {
            "num_of_threads": str(threads),
            **({"load_config": _BFLOAT16} if options.bf16 else {}),
            **options.provider_options,
        }
    if provider != CUDA:
        return dict(options.provider_options)
    half = isinstance(model, ModelFile) and model.card.precision == "fp16"
    return {
        # Without TF32 onnxruntime skips all tensor core kernels, also those of fp16 convolutions, and
        # logs an error for each before it falls back to them.
        "use_tf32": str(int(options.tf32 or half)),
        # EXHAUSTIVE would search again for every new size.
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
        **({"prefer_nhwc": "1"} if options.nhwc else {}),
        **options.provider_options,
    }


def _needed_by(model: ModelFile | bytes) -> dict[str, str]:
    if not isinstance(model, ModelFile) or model.card.lowering is None:
        return {}
    return needed_config(model.card.precision, model.card.lowering.target)
