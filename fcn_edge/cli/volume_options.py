"""The options that say how medical volumes are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fcn_edge.cli.numbers import Range
from fcn_edge.cli.options import option_group

if TYPE_CHECKING:
    from fcn_edge_runtime.medical.labeling import VolumeOptions

__all__ = ["reading_from", "volume_options"]

_NAMES = ("axis", "window", "percentiles")


# What `reading_from` takes out of the options.
volume_options = option_group(
    click.option(
        "--axis",
        type=click.Choice(["axial", "coronal", "sagittal"]),
        default="axial",
        show_default=True,
        help="Of medical volumes: which slices are segmented.",
    ),
    click.option(
        "--window",
        type=Range(),
        metavar="LOW,HIGH",
        help="Of medical volumes: the values, such as Hounsfield units, that become the lowest and "
        "the highest pixel.  [default: as the model's card says]",
    ),
    click.option(
        "--percentiles",
        type=Range(),
        metavar="LOW,HIGH",
        help="The same as percentiles of the voxels above the lowest value.",
    ),
)


def reading_from(given: dict[str, Any]) -> VolumeOptions:
    """The options as given, which are taken out of `given`."""
    from fcn_edge_runtime.medical.labeling import VolumeOptions

    return VolumeOptions(**{name: given.pop(name) for name in _NAMES})
