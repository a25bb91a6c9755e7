"""The report of a verification: `NAME.verification.json`, and its one-line summary."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fcn_edge_export.verification.head_rule import ROUNDINGS
from fcn_edge_export.verification.verdict import MOST_FLIPS, RELATIVE, Verdict
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.progress import Stage

__all__ = ["produced_by", "verdict_text", "verification_report"]

SCHEMA = "fcn-edge-verification/1"
PACKAGES = ("fcn-edge", "torch", "onnx", "onnxscript", "onnxsim", "onnxruntime", "onnxruntime-gpu", "numpy")


def produced_by() -> dict[str, str]:
    """The versions of all packages that took part in making the file."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def verification_report(
    digest: str, card: Card, verdicts: Sequence[Verdict], stages: Sequence[Stage]
) -> dict[str, Any]:
    """Everything that was measured, as JSON values, with the digest of the model."""
    return {
        "schema": SCHEMA,
        "model_sha256": digest,
        "name": card.name,
        "verdict": "passed" if all(v.passed for v in verdicts) else "failed",
        "rules": {
            "relative_error": RELATIVE,
            "roundings": ROUNDINGS,
            "most_flips": MOST_FLIPS,
            "text": card.verification.tolerance,
        },
        "machine": {"system": platform.system(), "machine": platform.machine()},
        "produced_by": dict(card.produced_by),
        "providers": [
            {
                "provider": verdict.provider,
                "passed": verdict.passed,
                "blind": verdict.blind,
                "inputs": [asdict(result) for result in verdict.results],
            }
            for verdict in verdicts
        ],
        "stages": [asdict(stage) for stage in stages],
    }


def verdict_text(verdicts: Sequence[Verdict]) -> str:
    """One line: how many inputs, the largest error as a share of the amplitude, the lowest agreement."""
    results = [r for v in verdicts for r in v.results]
    error = max(r.error / r.amplitude if r.amplitude else 0.0 for r in results)
    flips = sum(r.flips for r in results)
    agreement = min(r.agreement for r in results)
    providers = ", ".join(v.provider.removesuffix("ExecutionProvider") for v in verdicts)
    exact = sum(r.float64 for r in results)
    exact_text = f"; {exact} in float64, from which it is further off in float32" if exact else ""
    blind = "; BLIND: fewer than two labels were seen" if all(v.blind for v in verdicts) else ""
    return (
        f"equal to {verdicts[0].reference} on {providers} at {len(results)} inputs: "
        f"logits within {error:.1e} of their amplitude, {flips} labels flipped, "
        f"agreement at least {100 * agreement:.3f} %{exact_text}{blind}"
    )
