"""The QGIS plugin Deepness: NCHW floats of 0..1 in, the probability of each class out, squares of one size.

The plugin sets probabilities below `seg_thresh` to 0, and blurs the label map where `seg_small_segment` is
not 0: both are 0, so that its labels are ours. It reads `tile_size`, its documentation says `tiles_size`.
Names as of PUTvision/qgis-plugin-deepness@f450c63.
"""

from __future__ import annotations

import json
import math

from fcn_edge_export.variants.target import Facts, Target

__all__ = ["DEEPNESS"]

SIDE = 512  # pixels of a tile, as the plugin's own default
MOST_OVERLAP = 50  # percent
USUAL_OVERLAP = 25  # percent, where a layer sees the whole tile anyway


def _metadata(facts: Facts) -> dict[str, str]:
    card, side = facts.card, (facts.size or (SIDE, SIDE))[0]
    values = {
        "model_type": "Segmentor",
        "class_names": {str(entry.id): entry.name for entry in card.classes},
        "tile_size": side,
        "tiles_size": side,
        "tiles_overlap": _overlap(facts, side),
        "seg_thresh": 0.0,
        "seg_small_segment": 0,
    }
    if card.input.resolution is not None:
        values["resolution"] = round(100 * card.input.resolution, 6)  # centimeters
    return {key: json.dumps(value) for key, value in values.items()}


def _overlap(facts: Facts, side: int) -> int:
    geometry = facts.card.geometry
    if geometry.sees_whole_image:
        return USUAL_OVERLAP
    return min(MOST_OVERLAP, math.ceil(100 * geometry.receptive_field / side))


def _duties(facts: Facts) -> tuple[str, ...]:
    side = (facts.size or (SIDE, SIDE))[0]
    meters = facts.card.input.resolution
    return (
        f"Deepness cuts the raster into tiles of {side} x {side}: at their edges labels are not the whole's",
        f"choose {facts.card.input.channels} bands of {facts.card.input.dtype} in the order of the model's",
        "set the resolution, centimeters per pixel: the model states none"
        if meters is None
        else f"the resolution is the model's, {100 * meters:g} cm per pixel",
        "its class ids are MODEL's plus 1; leave probability threshold and removal of small areas off",
    )


DEEPNESS = Target(
    name="deepness",
    about="the QGIS plugin Deepness",
    takes="unit",
    gives="probabilities",
    duties=_duties,
    metadata=_metadata,
    sized=True,
    square=True,
    size=(SIDE, SIDE),
    batch=None,
    most_classes=254,  # of a byte, from 1
    dtypes=("uint8", "uint16"),  # it divides both by 255
)
