"""What an image processor of Hugging Face transformers does to an image, as far as a file can do the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fcn_edge.nets.sources.saved import read_json
from fcn_edge_runtime._fields import Fields
from fcn_edge_runtime.errors import UsageError

__all__ = ["Preprocessing", "read_preprocessing"]

FILE = "preprocessor_config.json"
NESTED = "processor_config.json"  # where transformers 5 saves a processor with a tokenizer: OneFormer's
BILINEAR = 2  # Pillow's number
# The processors that take a size of one number for the shorter edge of the image, not for a square.
SHORTEST_EDGE = (
    "Bit",
    "CLIP",
    "ConditionalDetr",
    "ConvNext",
    "Detr",
    "Eomt",
    "Levit",
    "Mask2Former",
    "MaskFormer",
    "MobileNet",
    "MobileViT",
    "OneFormer",
    "PoolFormer",
)
# Steps that the file does, or that change no image that is given as an array; and those with a note.
DONE = (
    "convert_annotations",
    "convert_rgb",
    "flip_channel_order",
    "normalize",
    "reduce_labels",
    "rescale",
    "resize",
)
NOTED = {
    "center_crop": "its preprocessing crops the center; the file labels the whole image",
    "pad": "its preprocessing pads; the file pads only to what the network needs",
    "split_image": "its preprocessing splits the image into squares; the file labels it as a whole",
}


@dataclass(frozen=True)
class Preprocessing:
    """What a processor does before its network.

    Attributes:
        given: the processor's configuration; empty where there is none.
        file: that holds it.
        input: scale, mean and std, as in a card file; empty where there is no processor.
        working_size: to which it resizes images, "512x512"; None is their own.
        notes: what it does and the file does not, in words.
    """

    given: Mapping[str, Any] = field(default_factory=dict)
    file: str = FILE
    input: Mapping[str, Any] = field(default_factory=dict)
    working_size: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def flips(self) -> bool:
        """Whether it turns RGB to BGR."""
        return bool(self.given.get("do_flip_channel_order"))

    @property
    def reduces_labels(self) -> bool:
        """Whether class i is i + 1 in the masks that the network was trained on."""
        return bool(self.given.get("do_reduce_labels") or self.given.get("reduce_labels"))


def read_preprocessing(folder: Path) -> Preprocessing:
    """What the image processor of a folder does.

    Args:
        folder: as `save_pretrained` of an image processor, or of a processor that holds one, wrote it.

    Raises:
        UsageError: its configuration has values that no image processor has.
    """
    file, given = NESTED, (read_json(folder / NESTED) or {}).get("image_processor")
    if not isinstance(given, dict):
        file, given = FILE, read_json(folder / FILE)
    if given is None:
        return Preprocessing()
    fields = Fields.of(given, UsageError, str(folder / file))
    rescales = given.get("do_rescale", True)
    scale = fields.positive("rescale_factor") if rescales and "rescale_factor" in fields else 1 / 255
    input_of: dict[str, Any] = {"scale": scale if rescales else 1.0, "mean": 0.0, "std": 1.0}
    if given.get("do_normalize", False):
        mean, std = given.get("image_mean"), given.get("image_std")
        if mean is None or std is None:
            raise UsageError(f"{folder / file} normalizes, without image_mean and image_std")
        input_of |= {"mean": mean, "std": std}
    working, notes = _working_size(fields) if given.get("do_resize") else (None, [])
    steps = {key[3:] for key, value in given.items() if key[:3] == "do_" and value and key[3:] not in DONE}
    notes += [note for step, note in NOTED.items() if step in steps]
    if given.get("size_divisor") and "pad" not in steps:
        notes.append(NOTED["pad"])
    notes += [
        f"its preprocessing has do_{step}, which the file does not do" for step in sorted(steps - set(NOTED))
    ]
    return Preprocessing(given, file, input_of, working, tuple(notes))


def _working_size(fields: Fields) -> tuple[str | None, list[str]]:
    """The one size that images are resized to, and notes; None where it depends on the image."""
    size = fields.get("size")
    name = str(fields.get("image_processor_type") or fields.get("feature_extractor_type") or "")
    if type(size) is int and not name.startswith(SHORTEST_EDGE):
        height = width = fields.integer("size", 1)
    elif isinstance(size, dict) and {"height", "width"} <= set(size):
        sides = fields.object("size")
        height, width = sides.integer("height", 1), sides.integer("width", 1)
    else:
        return None, [_depends(json.dumps(size))]
    if fields.get("keep_aspect_ratio"):
        return None, [_depends(f"about {height}x{width} in the aspect ratio of the image")]
    notes = []
    if fields.get("resample") not in (None, BILINEAR):
        notes.append(
            "its preprocessing resizes with another filter; the file does so bilinearly, antialiased"
        )
    return f"{height}x{width}", notes


def _depends(size: str) -> str:
    return (
        f"its preprocessing resizes to {size}, which depends on the image; the file takes the image's own "
        "size unless --working-size says otherwise"
    )
