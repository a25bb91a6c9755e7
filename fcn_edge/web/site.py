"""A folder with a page that runs one model: static files, for any web server; nothing comes from others."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fcn_edge.web.onnxruntime_web import onnxruntime_web
from fcn_edge_runtime._files import require_writable, write_whole
from fcn_edge_runtime._text import printable
from fcn_edge_runtime.errors import ArtifactError, InputError, UsageError
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.file import ModelFile

__all__ = ["SAMPLES", "Site", "write_site"]

# In a wheel the page lies inside the package; in a checkout beside it.
_SOURCES = (Path(__file__).parent.parent / "_web", Path(__file__).parents[2] / "runtime" / "web")
_MODEL = "model.onnx"
SAMPLES = (".png", ".jpg", ".jpeg", ".webp")  # what every browser reads
_MOST_SAMPLE = 64 << 20
_PICTURES = (1, 3)  # channels that the pixels of a picture can fill


@dataclass(frozen=True)
class Site:
    """What was written.

    Attributes:
        page: of the site, `index.html`.
        card: of the model.
        files: all that were written.
        bytes: of them together.
    """

    page: Path
    card: Card
    files: tuple[Path, ...]
    bytes: int


def write_site(
    model: Path, folder: Path, samples: Sequence[Path] = (), onnxruntime: Path | None = None
) -> Site:
    """Write a page that runs a model in the browser.

    Args:
        model: a model that `fcn-edge export` wrote.
        folder: where to write; it is made, and files of an earlier site in it are replaced.
        samples: pictures that the page offers: PNG, JPEG or WebP.
        onnxruntime: the unpacked npm package onnxruntime-web; None takes the cache, which npm fills once.

    Raises:
        ModelError: the model is missing, damaged, or not ours.
        UsageError: it does not take pictures, but images of other channels.
        InputError: a sample cannot be read, or no browser reads its format.
        ArtifactError: onnxruntime-web cannot be had, or a file cannot be written.
    """
    with ModelFile.open(model) as opened:
        card, data = opened.card, opened.data()
    if card.input.channels not in _PICTURES:
        raise UsageError(
            f"{model.name} takes images of {card.input.channels} channels, expected 1 or 3, which pictures "
            "and cameras have: a page of your own can give it arrays, see docs/howto/browser.md"
        )
    contents = {_MODEL: data}
    names = []
    for number, sample in enumerate(samples):
        names.append(f"samples/{number}{sample.suffix.lower()}")
        contents[names[-1]] = _sample(sample)
    source = next((place for place in _SOURCES if place.is_dir()), None)
    if source is None:
        raise ArtifactError("this installation has no page to copy: install fcn-edge again")
    for file in (*source.glob("*.js"), *source.glob("page/*.js"), source / "page" / "page.css"):
        contents[file.relative_to(source).as_posix()] = file.read_bytes()
    for name, part in onnxruntime_web(onnxruntime).items():
        contents[f"onnxruntime/{name}"] = part
    page = (source / "page" / "index.html").read_text("utf-8")
    # Last, so that there is no page before all that it loads is there.
    contents["index.html"] = _filled(page, card, list(zip(names, samples, strict=True))).encode()
    for name, part in contents.items():
        path = folder / name
        require_writable(path.parent)
        write_whole(path, part)
    written = tuple(folder / name for name in contents)
    return Site(folder / "index.html", card, written, sum(map(len, contents.values())))


def _sample(path: Path) -> bytes:
    if path.suffix.lower() not in SAMPLES:
        raise InputError(f"the sample {path} is not one of {', '.join(SAMPLES)}: convert it")
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_SAMPLE + 1)
    except OSError as error:
        raise InputError(f"the sample {path} cannot be read ({error.strerror or error})") from None
    if len(data) > _MOST_SAMPLE:
        raise InputError(f"the sample {path} has more than {_MOST_SAMPLE >> 20} MiB: make it smaller")
    return data


def _filled(page: str, card: Card, samples: Sequence[tuple[str, Path]]) -> str:
    buttons = [
        f'<button type="button" data-sample="{_shown(name)}">Sample: {_shown(path.stem)}</button>'
        for name, path in samples
    ]
    return page.format(
        name=_shown(card.name or "model"),
        description=_shown(card.description),
        license=_shown(f"License of the model: {card.license}") if card.license else "",
        samples="\n    ".join(buttons),
    )


def _shown(text: str) -> str:
    return html.escape(printable(" ".join(text.split())))
