"""The demo's one page: five uses with pictures, shares, times and scores. HTML that needs no other file."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

import numpy as np

from fcn_edge.demo.uses import Use
from fcn_edge.reports.contact_sheet import Tile
from fcn_edge_export import ExportResult
from fcn_edge_runtime._text import printable
from fcn_edge_runtime.imaging.writing import encoded

__all__ = ["demo_page"]

_WIDEST = 900  # pixels of an embedded picture

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>fcn-edge: five uses of one file</title>
<style>
:root {{ color-scheme: light; --ink: #1d2329; --quiet: #5b6670; --line: #dde2e6; --paper: #fbfbf9 }}
* {{ box-sizing: border-box }}
body {{ font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 }}
main, header {{ max-width: 1180px; margin: 0 auto; padding: 0 20px }}
header {{ padding-top: 36px }}
h1 {{ font-size: 1.9em; line-height: 1.2; margin: 0 0 .4em }}
h2 {{ font-size: 1.35em; margin: 0 }}
p {{ margin: .4em 0 1em; max-width: 76ch }}
section {{ border-top: 1px solid var(--line); padding: 28px 0 }}
.tiles {{ display: grid; gap: 12px; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 250px), 1fr)) }}
figure {{ margin: 0 }}
img {{ display: block; width: 100%; height: auto; border-radius: 6px }}
figcaption {{ color: var(--quiet); font-size: .88em; padding-top: 4px }}
ul {{ list-style: none; display: flex; flex-wrap: wrap; gap: 4px 20px; padding: 0; margin: 14px 0 }}
i {{ display: inline-block; width: .9em; height: .9em; margin-right: .45em; vertical-align: -.06em;
  border: 1px solid #0003; border-radius: 2px }}
dl {{ display: grid; grid-template-columns: 10.5em 1fr; gap: 4px 12px; margin: 14px 0 0; font-size: .95em }}
dt {{ color: var(--quiet) }}
dd {{ margin: 0; overflow-wrap: anywhere }}
@media (max-width: 560px) {{
  dl {{ grid-template-columns: 1fr; gap: 0 }} dd {{ margin-bottom: 8px }} h1 {{ font-size: 1.5em }}
}}
</style></head>
<body><header><h1>Five uses of a segmented image</h1>
<p>Each model below left PyTorch as one ONNX file on this machine, and was written only because it labels
images as PyTorch does. onnxruntime labeled the pictures on the CPU; that needs no PyTorch. Every score was
computed here, against truth that was not trained on. Where there is no truth, it says so.</p></header>
<main>
{sections}
</main></body></html>
"""


def demo_page(uses: Sequence[Use]) -> str:
    """The page; a use without a model says what it lacks."""
    sections = "\n".join(_section(use) for use in uses)
    return _PAGE.format(sections=sections)


def _section(use: Use) -> str:
    tiles = "".join(
        f'<figure><img src="{_embedded(tile)}" alt="{_shown(use.title)}: {_shown(tile.caption)}">'
        f"<figcaption>{_shown(tile.caption)}</figcaption></figure>"
        for tile in use.tiles
    )
    shares = "".join(
        f'<li><i style="background:rgb{area.color}"></i>{_shown(area.name)} {area.share:.1%}'
        f"{f', {_shown(amount)}' if amount else ''}</li>"
        for area, amount in sorted(use.areas, key=lambda pair: -pair[0].pixels)
    )
    facts = "".join(f"<dt>{name}</dt><dd>{_shown(value)}</dd>" for name, value in _facts(use) if value)
    return (
        f"<section><h2>{_shown(use.title)}</h2><p>{_shown(use.text)}</p>"
        f'<div class="tiles">{tiles}</div>{f"<ul>{shares}</ul>" if shares else ""}<dl>{facts}</dl></section>'
    )


def _facts(use: Use) -> list[tuple[str, str]]:
    agreement = "" if use.model is None else _agreement(use.model)
    file = "" if use.model is None else f"{use.model.path.name}, {use.model.bytes / 1e6:.1f} MB"
    return [
        ("score", use.score),
        ("like PyTorch", agreement),
        ("time", use.time),
        ("model", file),
        ("limits", use.limits),
    ]


def _agreement(model: ExportResult) -> str:
    return "; ".join(stage.summary for stage in model.stages if stage.name == "verify")


def _embedded(tile: Tile) -> str:
    """A picture as a data URI. Labels are PNG, because JPEG would blur their edges; photographs are JPEG."""
    from fcn_edge_runtime.imaging.reading import import_pillow

    image = import_pillow().fromarray(tile.picture)
    if image.width > _WIDEST:
        image.thumbnail((_WIDEST, 10 * _WIDEST))
    flat = image.getcolors(256) is not None
    data = encoded(np.asarray(image), "png" if flat else "jpg")
    return f"data:image/{'png' if flat else 'jpeg'};base64,{base64.b64encode(data).decode()}"


def _shown(text: str) -> str:
    return html.escape(printable(text))
