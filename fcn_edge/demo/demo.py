"""The whole workflow on the corridor model: export, verdict, self-test, evaluation, photographs, one page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fcn_edge.demo.page import summary_page
from fcn_edge.recipes import find_recipe
from fcn_edge.reports.contact_sheet import Tile, painted, write_sheet
from fcn_edge.workflows import Request, export_network
from fcn_edge_export import ExportOptions, ExportResult
from fcn_edge_runtime._files import write_whole
from fcn_edge_runtime.errors import ArtifactError, UsageError
from fcn_edge_runtime.evaluation.evaluate import Evaluation, score_pairs
from fcn_edge_runtime.evaluation.masks import find_pairs
from fcn_edge_runtime.imaging.reading import read_image
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.progress import Progress, Stages
from fcn_edge_runtime.segmenter import Segmenter
from fcn_edge_runtime.selftest import SelfTestReport, require_passed, run_selftest

__all__ = ["Demo", "run_demo"]

RECIPE = "corridor"
PHOTOGRAPHS = ("motorcycle_left.png", "astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")
SHOWN = 8  # held-out frames on the contact sheet


@dataclass(frozen=True)
class Demo:
    """What a demo made and found.

    Attributes:
        exported: the model and its verdicts.
        selftest: of the file, on this machine.
        evaluation: on held-out frames; None where they are missing (an installed wheel).
        sheet: contact sheet of frames: image, truth, ours. PNG.
        photographs: the same of real photographs, which have no truth. PNG.
        page: everything on one page. HTML.
    """

    exported: ExportResult
    selftest: SelfTestReport
    evaluation: Evaluation | None
    sheet: Path | None
    photographs: Path | None
    page: Path


def run_demo(out: Path, progress: Progress | None = None) -> Demo:
    """Run the workflow and write everything into a folder.

    Args:
        out: made if it is missing.
        progress: receives the stages as they run.

    Raises:
        VerificationError, ArtifactError: as `fcn_edge.export`.
        UsageError: the recipe is not installed.
    """
    recipe = find_recipe(RECIPE)
    if recipe is None:
        raise UsageError(f"the recipe {RECIPE!r} is not installed: run the demo from a checkout or a wheel")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"cannot make the folder {out}: {error.strerror or error}") from None
    exported = export_network(
        Request(RECIPE),
        out / f"{RECIPE}.onnx",
        options=ExportOptions(outputs=("labels", "confidence"), sizes=((240, 320),)),
        progress=progress,
    )
    stages = Stages(progress)
    heldout = recipe.path.parent / RECIPE / "heldout"
    with Segmenter(exported.path) as segmenter:
        with stages.stage("selftest") as did, ModelFile.open(exported.path) as file:
            report = run_selftest(segmenter.session, file.card, file.golden)
            require_passed(report)
            did.text = f"passed on {segmenter.session.device}"
        found, sheet = None, None
        if heldout.is_dir():
            pairs = find_pairs([str(heldout / "images")], heldout / "labels")
            found = score_pairs(segmenter, pairs, progress)
            sheet = out / "sheet.png"
            _write_frames(sheet, segmenter, found)
        with stages.stage("photos") as did:
            photographs = _write_photographs(out / "photographs.png", segmenter)
            did.text = "scikit-image is not installed" if photographs is None else photographs.name
    page = out / "summary.html"
    pictures = [picture for picture in (sheet, photographs) if picture is not None]
    write_whole(page, summary_page(exported, report, found, pictures).encode())
    return Demo(exported, report, found, sheet, photographs, page)


def _write_frames(path: Path, segmenter: Segmenter, found: Evaluation) -> None:
    """Every so many-th frame, not the best ones: image, truth, ours."""
    rows = []
    for entry in found.images[:: max(1, len(found.images) // SHOWN)][:SHOWN]:
        image = read_image(entry.pair.image, segmenter.card.input)
        truth, result = entry.pair.truth(segmenter.card), segmenter(image)
        iou = f"mean IoU {entry.scores.mean_iou:.3f}"
        rows.append(
            (
                Tile(image, entry.pair.image.name),
                Tile(painted(truth, segmenter.card), "truth"),
                Tile(result.colored(), f"ours, {iou}"),
            )
        )
    # Two frames a row: a sheet that fits a screen.
    pairs = [(*left, *right) for left, right in zip(rows[::2], rows[1::2], strict=False)]
    title = f"{segmenter.card.name}: image, truth, ours"
    write_sheet(path, pairs, title=title, key=segmenter.card.classes, width=220)


def _write_photographs(path: Path, segmenter: Segmenter) -> Path | None:
    """Photographs that scikit-image ships in its wheel; nothing is downloaded. None where it is missing."""
    try:
        from skimage import data
    except ModuleNotFoundError:
        return None
    folder = Path(data.__file__).parent
    images = [
        read_image(folder / name, segmenter.card.input) for name in PHOTOGRAPHS if (folder / name).is_file()
    ]
    above = [Tile(image, f"{image.shape[1]}x{image.shape[0]}") for image in images]
    below = [Tile(segmenter(image).overlay(image)) for image in images]
    title = "real photographs, unlike anything it was trained on"
    write_sheet(path, [above, below], title=title, key=segmenter.card.classes, width=260)
    return path
