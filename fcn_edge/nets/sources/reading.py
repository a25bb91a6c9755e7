"""Which library saved a network, by the prefix of its name."""

from __future__ import annotations

from fcn_edge.nets.sources import huggingface, monai, smp
from fcn_edge.nets.sources.saved import SavedNet

__all__ = ["is_saved", "read_saved"]


def is_saved(spec: str) -> bool:
    """Whether a name is that of a saved network: `hf:`, `smp:` or `monai:` and a place."""
    return spec.startswith((huggingface.PREFIX, smp.PREFIX, monai.PREFIX))


def read_saved(spec: str, *, trust_remote_code: bool = False) -> SavedNet:
    """What a saved network's files hold, before its weights are read.

    Args:
        spec: with its prefix.
        trust_remote_code: run Python code that came with a network of Hugging Face.

    Raises:
        UsageError: there is no such folder, or it holds no network of that library.
        CheckpointError: its weights are missing, or cannot be fetched.
    """
    if spec.startswith(smp.PREFIX):
        return smp.read_smp(spec)
    if spec.startswith(monai.PREFIX):
        return monai.read_monai(spec)
    return huggingface.read_huggingface(spec, trust_remote_code=trust_remote_code)
