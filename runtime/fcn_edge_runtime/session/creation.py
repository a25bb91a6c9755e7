"""One session of onnxruntime: created on a provider, or an error that says what it is that failed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fcn_edge_runtime.errors import ModelError, ProviderError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.session.config import UNWANTED_OPTIMIZERS
from fcn_edge_runtime.session.devices import short_name
from fcn_edge_runtime.session.options import CPU, CUDA

__all__ = ["created", "nodes_on", "one_line", "refusal"]

_MISSING_LIBRARY = re.compile(r"(\S+?): cannot open shared object file|\"([^\"]+\.dll)\" which is missing")


def created(
    runtime: Any,
    source: ModelFile | bytes,
    provider: str,
    options: Any,
    its_options: Mapping[str, str],
) -> Any:
    """The session of onnxruntime, which may be on another provider than the named one.

    Args:
        runtime: the module onnxruntime.
        source: the model.
        provider: onnxruntime's name of the provider.
        options: onnxruntime's SessionOptions.
        its_options: options of the provider.

    Raises:
        ModelError: onnxruntime cannot load the model on the CPU.
        ProviderError: it cannot on another provider.
    """
    providers: list[Any] = [(provider, dict(its_options))]
    if provider != CPU:
        providers.append(CPU)
    if provider == CUDA and hasattr(runtime, "preload_dlls"):
        runtime.preload_dlls()
    with _source(source) as path_or_bytes:
        try:
            raw = runtime.InferenceSession(
                path_or_bytes,
                sess_options=options,
                providers=providers,
                enable_fallback=0,
                disabled_optimizers=UNWANTED_OPTIMIZERS,
            )
        except Exception as error:  # noqa: BLE001 - onnxruntime's own errors derive from Exception alone
            if provider == CPU:
                raise ModelError(f"onnxruntime cannot load the model: {one_line(error)}") from None
            raise ProviderError(one_line(error)) from None
    raw.disable_fallback()
    return raw


def refusal(provider: str, message: str, printed: str) -> ProviderError:
    """The error for a session that was not made, or was made without the requested provider."""
    missing = _MISSING_LIBRARY.search(f"{message} {printed}")
    if missing:
        reason = f"{missing.group(1) or missing.group(2)} is missing"
    else:
        reason = message or one_line(printed) or "onnxruntime gave no reason"
    fix = ": install CUDA and cuDNN, `pip install 'onnxruntime-gpu[cuda,cudnn]'`" if provider == CUDA else ""
    return ProviderError(
        f"the device '{short_name(provider)}' is in this onnxruntime but does not start: {reason}{fix}"
    )


def nodes_on(raw: Any, provider: str) -> int | None:
    """How many nodes the provider got; None where onnxruntime is too old to report it."""
    if provider == "AzureExecutionProvider":
        return 0  # it only calls remote services, and is in every standard wheel
    try:
        groups = raw.get_provider_graph_assignment_info()
        return sum(len(group.get_nodes()) for group in groups if group.ep_name == provider)
    except Exception:  # noqa: BLE001 - the interface is new and may still change
        return None


def one_line(error: object) -> str:
    """An error's text as one line of at most 400 characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= 400 else text[:400] + " ..."


@contextlib.contextmanager
def _source(model: ModelFile | bytes) -> Iterator[str | bytes]:
    if isinstance(model, ModelFile):
        with model.source() as source:
            yield source
    else:
        yield model
