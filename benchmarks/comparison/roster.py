"""The engines, their variants, and the virtual environment of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.comparison.engines.ours import FILES

__all__ = ["ROSTER", "Contender", "our_files"]


@dataclass(frozen=True)
class Contender:
    """One row of the table.

    Attributes:
        name: of the engine, for people.
        engine: module of `benchmarks.comparison.engines`.
        variant: key of its VARIANTS.
        environment: folder of its virtual environment; None is the current one.
    """

    name: str
    engine: str
    variant: str
    environment: str | None

    @property
    def slug(self) -> str:
        """Its name in files."""
        return f"{self.engine}-{self.variant}".replace(" ", "-").replace(",", "")


def _variants(name: str, engine: str, environment: str | None, *variants: str) -> list[Contender]:
    return [Contender(name, engine, variant, environment) for variant in variants]


ROSTER: tuple[Contender, ...] = (
    *_variants("plain export", "plain", None, "fp32"),
    *_variants("PyTorch", "pytorch", "torch", "fp32 eager", "fp32 compiled", "bf16", "int8"),
    *_variants(
        "OpenVINO",
        "openvino",
        "openvino",
        "fp32",
        "bf16",
        "fp16",
        "int8",
        "int8, bf16",
        "int8 from our file",
        "int8, bf16 from our file",
    ),
    *_variants("ExecuTorch", "executorch", "torch", "fp32", "fp16", "int8"),
    *_variants("MNN", "mnn", "mnn", "fp32", "bf16", "fp16", "int8", "int8 dynamic"),
    *_variants("ncnn", "ncnn", "ncnn", "fp32", "bf16", "fp16", "int8"),
    *_variants(
        "fcn-edge",
        "ours",
        None,
        "fp32",
        "fp32 sparse head",
        "int8",
        "int8 sparse head",
        "int8 sparse head, tuned",
        "int8 tuned",
        "fp32, as a newcomer runs it",
        "int8, as a newcomer runs it",
    ),
    *_variants(
        "fcn-edge",
        "ours",
        "ort-openvino",
        "int8, OpenVINO provider",
        "int8, OpenVINO provider, tuned",
        "int8, as a newcomer runs it with OpenVINO",
    ),
)


def our_files(contenders: Iterable[Contender]) -> set[str]:
    """The names of our files that these contenders read. OpenVINO also reads one."""
    variants = {c.variant for c in contenders if c.engine == "ours"}
    if any(c.variant.endswith("from our file") for c in contenders):
        variants.add("int8")
    return {FILES[variant] for variant in variants}
