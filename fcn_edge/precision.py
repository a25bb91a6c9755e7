"""Export in one go to int8 or fp16: the float file is made and verified in a temporary folder, then lowered.

The float parent is not kept. Its digest is on the card, and exporting again without `--precision` gives the
same bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from fcn_edge.quantizing import half_file, quantize_file
from fcn_edge.workflows import Request, export_network
from fcn_edge_export import ExportOptions
from fcn_edge_export.artifact import OutputFile
from fcn_edge_export.lowering.lower import AGREEMENT, LoweringResult
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.progress import Progress

__all__ = ["PRECISIONS", "check_precision", "export_lowered"]

PRECISIONS = ("fp32", "fp16", "int8")


def check_precision(
    precision: str, calibration: Sequence[str], images: Sequence[str], labels: Path | None = None
) -> None:
    """Do nothing where the options fit each other.

    Raises:
        UsageError: they do not: what is missing, or given in vain.
    """
    if precision == "int8" and not calibration:
        raise UsageError("--precision int8 needs pictures to calibrate on: give --calibration DIR")
    if precision == "fp16" and not images:
        raise UsageError("--precision fp16 needs pictures to judge on: give --images DIR")
    if precision != "int8" and calibration:
        raise UsageError(f"--calibration is given for {precision}, which needs none: add --precision int8")
    if labels is not None and (precision == "fp32" or not images):
        raise UsageError(
            "--labels holds int8 and fp16 to true labels of --images: give --precision and --images"
        )


def export_lowered(
    request: Request,
    output: Path,
    *,
    precision: str,
    calibration: tuple[str, ...],
    labels: Path | None = None,
    options: ExportOptions,
    progress: Progress | None = None,
) -> LoweringResult:
    """Export a network and lower its precision; see `export_network` for `options`.

    Raises:
        UsageError: options that do not fit each other.
        VerificationError: the float file, or the lowered one, does not decide like its reference.
        InputError, CheckpointError, ArtifactError, ProviderError: as the steps say.
    """
    check_precision(precision, calibration, request.images, labels)
    OutputFile.at(output)  # before the work starts
    with tempfile.TemporaryDirectory(prefix="fcn-edge-") as folder:
        parent = Path(folder, output.name)
        export_network(request, parent, options=options, progress=progress)
        if precision == "fp16":
            devices = [device for device in options.devices if device != "cpu"]
            return half_file(
                parent,
                output,
                request.images,
                labels=labels,
                device=devices[0] if devices else "cpu",
                progress=progress,
            )
        return quantize_file(
            parent,
            output,
            calibration,
            images=request.images,
            labels=labels,
            target=None,
            method="entropy",
            agreement=AGREEMENT,
            allow_slower=False,
            progress=progress,
        )
