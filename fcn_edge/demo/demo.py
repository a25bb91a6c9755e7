"""The whole workflow on the recipes with weights: export, verdict, self-test, five uses on one page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fcn_edge.demo.gallery import write_effects, write_gallery
from fcn_edge.demo.page import demo_page
from fcn_edge.demo.uses import USES, Models, Use
from fcn_edge_runtime._files import require_writable, write_whole
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.progress import Progress, Stages
from fcn_edge_runtime.segmenter import Segmenter
from fcn_edge_runtime.selftest import require_passed, run_selftest

__all__ = ["Demo", "run_demo"]


@dataclass(frozen=True)
class Demo:
    """What a demo made.

    Attributes:
        uses: in the order of the page; one that lacks its data or a package here has no model.
        page: all of them. HTML that needs no other file.
        gallery: all of them as one picture, JPEG; None where there are no pictures.
    """

    uses: tuple[Use, ...]
    page: Path
    gallery: Path | None


def run_demo(out: Path, progress: Progress | None = None) -> Demo:
    """Run the workflow and write everything into a folder.

    Args:
        out: made if it is missing.
        progress: receives the stages as they run.

    Raises:
        VerificationError, ArtifactError: as `fcn_edge.export`.
        UsageError: a recipe is not installed.
    """
    require_writable(out)
    models, stages = Models(out, progress), Stages(progress)
    uses = []
    for make in USES:
        try:
            use = make(models)
        except InputError as error:  # of a package or of data that a wheel does not have
            uses.append(Use(make.__name__.capitalize(), f"Not shown here: {error}", None))
            continue
        uses.append(use)
    for made in {use.model.path: use.model for use in uses if use.model is not None}.values():
        with (
            stages.stage("selftest") as did,
            Segmenter(made.path) as segmenter,
            ModelFile.open(made.path) as file,
        ):
            require_passed(run_selftest(segmenter.session, file.card, file.golden))
            did.text = f"{made.path.name} passed on {segmenter.session.device}"
    page = out / "index.html"
    gallery = write_gallery(out / "gallery.jpg", uses)
    write_effects(out / "effects.jpg", uses)
    write_whole(page, demo_page(uses).encode())
    return Demo(tuple(uses), page, gallery)
