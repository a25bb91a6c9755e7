"""The main job on an example: export, verify, self-test, segment real photographs, put them on one sheet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fcn_edge.exporting import Request, export_network
from fcn_edge_export.progress import Progress
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.folder import FileResult, find_jobs, segment_files
from fcn_edge_runtime.images import import_pillow
from fcn_edge_runtime.segmenter import Segmenter

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Demo", "run_demo"]

# Untrained weights prove the numbers, and their overlays are noise.
EXAMPLE = Request("fcn_resnet18", weights="random:0", classes="voc")
PHOTOGRAPHS = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png")
TILE = 320


@dataclass(frozen=True)
class Demo:
    """What a demo made.

    Attributes:
        model: the exported file.
        results: one a photograph.
        sheet: the contact sheet, PNG: photographs above, overlays below.
    """

    model: Path
    results: tuple[FileResult, ...]
    sheet: Path


def run_demo(out: Path, progress: Progress, say: Callable[[str], None]) -> Demo:
    """Do the whole job into a folder.

    Args:
        out: made if it is missing.
        progress: told about the export's stages.
        say: told in words what goes on after the export.

    Raises:
        UsageError: the photographs are not installed.
        VerificationError, ArtifactError: as an export would.
    """
    photographs = _photographs()
    out.mkdir(parents=True, exist_ok=True)
    model = out / f"{EXAMPLE.net}.onnx"
    export_network(
        EXAMPLE,
        model,
        outputs=("labels",),
        sizes=(),
        devices=("cpu",),
        allow_unsimplified=False,
        progress=progress,
    )
    with Segmenter(model) as segmenter:
        say(f"segmenting {len(photographs)} photographs on {segmenter.session.device}")
        jobs = find_jobs([str(path) for path in photographs])
        results = tuple(segment_files(segmenter, jobs, out / "photographs"))
    sheet = out / "sheet.png"
    _write_sheet(sheet, results)
    return Demo(model, results, sheet)


def _photographs() -> list[Path]:
    """Photographs that scikit-image ships in its wheel; nothing is downloaded."""
    try:
        from skimage import data
    except ModuleNotFoundError:
        raise UsageError(
            "the demo's photographs come with scikit-image: `pip install fcn-edge[demo]`"
        ) from None
    folder = Path(data.__file__).parent
    return [folder / name for name in PHOTOGRAPHS if (folder / name).is_file()]


def _write_sheet(path: Path, results: tuple[FileResult, ...]) -> None:
    columns = list(_columns(results))
    image_module = import_pillow()
    height = max(above.height + below.height for above, below in columns)
    sheet = image_module.new("RGB", (TILE * len(columns), height), (255, 255, 255))
    for index, (above, below) in enumerate(columns):
        sheet.paste(above, (index * TILE, 0))
        sheet.paste(below, (index * TILE, above.height))
    sheet.save(path)


def _columns(results: tuple[FileResult, ...]) -> Iterator[tuple[Image, Image]]:
    image_module = import_pillow()
    for result in results:
        overlay = next((p for p in result.written if p.name.endswith(".overlay.png")), None)
        if overlay is not None:
            pair = [image_module.open(p).convert("RGB") for p in (result.source, overlay)]
            above, below = (i.resize((TILE, round(i.height * TILE / i.width))) for i in pair)
            yield above, below
