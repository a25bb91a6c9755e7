"""The options that say how medical volumes are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fcn_edge.cli.numbers import Range

if TYPE_CHECKING:
    from fcn_edge_runtime.medical.labeling import VolumeOptions

__all__ = ["reading_from", "volume_options"]

_NAMES = ("axis", "window", "percentiles")
_Command = TypeVar("_Command", bound=Callable[..., Any])


def volume_options(command: _Command) -> _Command:
    """Add `--axis`, `--window` and `--percentiles`."""
    for option in reversed(
        (
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
    ):
        command = option(command)
    return command


def reading_from(given: dict[str, Any]) -> VolumeOptions:
    """The options as given, which are taken out of `given`."""
    from fcn_edge_runtime.medical.labeling import VolumeOptions

    return VolumeOptions(**{name: given.pop(name) for name in _NAMES})
