"""The demo's one page: what was exported, how it was verified, what it looks like. HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from fcn_edge_export import ExportResult
from fcn_edge_runtime._text import printable
from fcn_edge_runtime.evaluation.evaluate import Evaluation
from fcn_edge_runtime.selftest import SelfTestReport

__all__ = ["summary_page"]


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>fcn-edge demo: {title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1380px; margin: 2em auto; color: #222 }}
table {{ border-collapse: collapse }}
th, td {{ text-align: left; padding: .2em 1.2em .2em 0; vertical-align: top }}
th {{ font-weight: 600 }}
img {{ max-width: 100% }}
i {{ display: inline-block; width: 1em; height: 1em; margin-right: .5em; vertical-align: -.1em }}
</style>
<h1>{title}</h1><p>{description}</p>
<table>{rows}</table>
{images}
{scores}
<h2>How it was exported</h2><table>{stages}</table>
</html>
"""


def _shown(text: str) -> str:
    return html.escape(printable(text))


def summary_page(
    exported: ExportResult, report: SelfTestReport, found: Evaluation | None, pictures: Sequence[Path]
) -> str:
    """One page that a person can read in a minute. Pictures are named, not embedded."""
    card, geometry = exported.card, exported.card.geometry
    decided = sum(case.decided for case in report.cases)
    facts = [
        ("model", f"{exported.path.name}, {exported.bytes / 1e6:.1f} MB, sha256 {exported.digest[:16]}..."),
        ("network", f"{card.net.name}, stride {geometry.stride}, sees {geometry.receptive_field} pixels"),
        ("verdict", "; ".join(stage.summary for stage in exported.stages if stage.name == "verify")),
        ("self-test", f"passed: {decided} decided pixels equal on {report.provider}"),
    ]
    if found is not None:
        times = sorted(i.milliseconds for i in found.images)
        facts += [
            ("held-out frames", f"{len(found.images)}, {times[len(times) // 2]:.1f} ms each (median)"),
            ("mean IoU", f"{found.scores.mean_iou:.4f}; pixel accuracy {found.scores.pixel_accuracy:.4f}"),
        ]
    rows = "".join(f"<tr><th>{_shown(k)}</th><td>{_shown(v)}</td></tr>" for k, v in facts)
    scores = ""
    if found is not None:
        cells = "".join(
            f'<tr><td><i style="background:rgb{c.color}"></i>{_shown(c.name)}</td>'
            f"<td>{'absent' if iou is None else f'{iou:.4f}'}</td></tr>"
            for c, iou in zip(card.classes, found.scores.iou, strict=True)
        )
        scores = f"<h2>IoU per class</h2><table>{cells}</table>"
    stages = "".join(
        f"<tr><th>{_shown(s.name)}</th><td>{s.seconds:.1f} s</td><td>{_shown(s.summary)}</td></tr>"
        for s in exported.stages
    )
    images = "".join(f'<p><img src="{_shown(p.name)}" alt="{_shown(p.stem)}"></p>' for p in pictures)
    return _PAGE.format(
        title=_shown(card.name),
        description=_shown(card.description),
        rows=rows,
        scores=scores,
        stages=stages,
        images=images,
    )
