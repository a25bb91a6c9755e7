"""What a file says of itself in ONNX's own fields, from its card, for viewers and hubs that do not know ours.

Keys and values as of https://onnx.ai/onnx/repo-docs/MetadataProps.html and TypeDenotation.html.
"""

from __future__ import annotations

import onnx

from fcn_edge_runtime.model.card import Card

__all__ = ["denote_image", "introduce", "pixel_entries"]

_PIXELS = {1: "Gray8", 3: "Rgb8"}
_AXES = ("DATA_BATCH", "DATA_FEATURE", "DATA_FEATURE", "DATA_CHANNEL")


def introduce(model: onnx.ModelProto, card: Card) -> dict[str, str]:
    """Set the producer and the description, in place, and return the entries for author and license."""
    model.producer_name = "fcn-edge"
    model.producer_version = card.produced_by.get("fcn-edge", "")
    model.doc_string = card.description
    entries = {"model_author": card.author, "model_license": card.license}
    return {key: value for key, value in entries.items() if value}


def pixel_entries(card: Card) -> dict[str, str]:
    """Entries for the image: of 8 bits, gray or RGB; others have no names there."""
    pixels = _PIXELS.get(card.input.channels)
    if pixels is None or card.input.dtype != "uint8":
        return {}
    return {
        "Image.BitmapPixelFormat": pixels,
        "Image.ColorSpaceGamma": "SRGB",
        "Image.NominalPixelRange": "NominalRange_0_255",
    }


def denote_image(value: onnx.ValueInfoProto) -> None:
    """State, in place, that an input [batch, height, width, channels] is an image."""
    value.type.denotation = "IMAGE"
    for dim, meaning in zip(value.type.tensor_type.shape.dim, _AXES, strict=True):
        dim.denotation = meaning
