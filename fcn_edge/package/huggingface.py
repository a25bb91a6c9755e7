"""A model in the layout of Hugging Face: for its hub, its image processors, transformers.js and optimum.

    FOLDER/README.md                  the model card
    FOLDER/config.json                names of the classes
    FOLDER/preprocessor_config.json   how pixels become `pixel_values`
    FOLDER/onnx/model.onnx            a variant: pixel_values in, logits out
    FOLDER/NAME.onnx                  the file as it is, for fcn-edge

transformers reads a configuration only if it knows the `model_type`. "segformer" is what takes and gives the
same; the network is another one, and the model card says so.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fcn_edge.package.folder import require_free, write_folder
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.progress import Progress

__all__ = ["HuggingFacePackage", "package_for_huggingface"]

_INTERFACE = "segformer"
_SIDE = 512  # that processors ask for, and do not use where images are not resized
# Licenses that the hub knows by name, as cards write them -> as the hub does.
_LICENSES = {
    name.lower(): name.lower()
    for name in ("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0")
} | {name.lower(): name.lower() for name in ("CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "GPL-3.0", "AGPL-3.0")}

_PAGE = """---
{meta}---

# {title}

{description}{author}Semantic segmentation: {classes} classes, RGB images of any height and width. \
Compared with {compared} at {inputs} inputs.

| file | takes | gives |
|---|---|---|
| `{file}` | pixels | labels; sealed, with its self-test, for fcn-edge |
| `onnx/model.onnx` | `pixel_values`, as `preprocessor_config.json` says | `logits` |

```bash
fcn-edge run {file} photos/ -o out
```

`config.json` names `{interface}` for what goes in and comes out; the network is `{network}`.
SHA-256 of `{file}`: `{digest}`.

## Classes

| id | name | color |
|---|---|---|
{rows}{license}"""


@dataclass(frozen=True)
class HuggingFacePackage:
    """What was written.

    Attributes:
        folder: with all files.
        card: of the model.
        bytes: of all files.
        pixels: whose labels were compared with those of the network alone.
        ties: of these, that differ where two classes tie.
    """

    folder: Path
    card: Card
    bytes: int
    pixels: int
    ties: int


def package_for_huggingface(
    model: Path,
    folder: Path,
    *,
    images: Sequence[str] = (),
    force: bool = False,
    progress: Progress | None = None,
) -> HuggingFacePackage:
    """Write a model in the layout of Hugging Face.

    Args:
        model: a file that `fcn-edge export` wrote.
        folder: to write; it is made.
        images: further images on which the labels of `onnx/model.onnx` must be the model's.
        force: replace a folder that is not empty.
        progress: receives the stages as they run.

    Raises:
        ModelError: the model is missing, damaged, or not ours.
        UsageError: the folder exists, or no image processor gives what the model takes.
        VerificationError: a label differs. Nothing is written.
        ArtifactError: nothing can be written there.
    """
    from fcn_edge_export.variants.plain import LOGITS
    from fcn_edge_export.variants.variant import write_variant

    require_free(folder, force=force)
    with ModelFile.open(model) as file, tempfile.TemporaryDirectory(prefix="fcn-edge-") as place:
        card = file.card
        # A network that resizes images, or takes bytes, normalizes by itself.
        inside = card.working_size is not None or card.precision == "int8"
        target = replace(
            LOGITS,
            name="hf",
            takes="unit" if inside else "normalized",
            gives="class logits",
            input="pixel_values",
            channels=(3,),
            dtypes=("uint8",),
        )
        plain = Path(place, "model.onnx")
        made = write_variant(model, plain, target, images=list(images) or None, progress=progress)
        name = f"{model.stem}.onnx"
        if name in ("README.onnx", "config.onnx"):
            raise UsageError(f"got the model {model.name}, expected another name than those of the layout")
        files = {
            "README.md": _readme(card, name, file.digest).encode(),
            "config.json": _json(_config(card, name, file.digest)),
            "preprocessor_config.json": _json(_preprocessing(card, inside=inside)),
            name: file.data(),
            "onnx/model.onnx": plain.read_bytes(),
        }
        write_folder(folder, files, force=force)
    return HuggingFacePackage(folder, card, sum(map(len, files.values())), made.pixels, made.ties)


def _json(values: object) -> bytes:
    return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()


def _config(card: Card, name: str, digest: str) -> dict[str, object]:
    return {
        "model_type": _INTERFACE,
        "id2label": {str(entry.id): entry.name for entry in card.classes},
        "label2id": {entry.name: entry.id for entry in card.classes},
        "num_labels": len(card.classes),
        "semantic_loss_ignore_index": card.unlabeled,
        "fcn_edge": {"file": name, "sha256": digest},
    }


def _preprocessing(card: Card, *, inside: bool) -> dict[str, object]:
    """How pixels become `pixel_values`: divided, and normalized where the file does not."""
    return {
        "image_processor_type": "SegformerImageProcessor",
        "do_resize": False,
        "size": {"height": _SIDE, "width": _SIDE},
        "do_rescale": True,
        "rescale_factor": 1 / 255 if inside else card.input.scale,
        "do_normalize": not inside,
        "image_mean": list(card.input.mean),
        "image_std": list(card.input.std),
        "do_reduce_labels": False,
    }


def _readme(card: Card, name: str, digest: str) -> str:
    """The model card: what the hub reads between the lines of dashes, then what people read."""
    known = _LICENSES.get(card.license.strip().lower())
    head: list[tuple[str, object]] = [("pipeline_tag", "image-segmentation"), ("library_name", "onnx")]
    if known is not None:
        head.append(("license", known))
    elif card.license:
        head += [("license", "other"), ("license_name", " ".join(card.license.split())[:100])]
    head.append(("tags", ["onnx", "semantic-segmentation", "fcn-edge", "transformers.js"]))
    verification = card.verification
    compared = {"pytorch": "PyTorch", "onnx": "the ONNX file that it was made of"}.get(
        verification.reference, "its parent in full precision"
    )
    # JSON is YAML, so a text cannot end its line.
    meta = "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in head)
    rows = "".join(f"| {e.id} | {_cell(e.name)} | {_color(e.color)} |\n" for e in card.classes)
    return _PAGE.format(
        meta=meta,
        title=_cell(card.name),
        description=f"{card.description}\n\n" if card.description else "",
        author=f"Author: {_cell(card.author)}\n\n" if card.author else "",
        classes=len(card.classes),
        compared=compared,
        inputs=len(verification.sizes),
        file=name,
        interface=_INTERFACE,
        network=_cell(card.net.name) or "another one",
        digest=digest,
        rows=rows,
        license=f"\n## License\n\n{card.license}\n" if card.license else "",
    )


def _cell(text: str) -> str:
    """A text in one line of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("`", "'")


def _color(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
