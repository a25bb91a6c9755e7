"""Options that `export` and `verify` share: which network, which weights, where to compare."""

from __future__ import annotations

from pathlib import Path

import click

from fcn_edge.cli.completion import files, words
from fcn_edge.cli.numbers import CHANNELS, Real
from fcn_edge.cli.options import FilePath, SizesType, option_group

__all__ = ["devices_option", "naming_options", "net_options", "normalize_option", "sizes_option"]


_WEIGHTS = click.option(
    "--weights",
    metavar="FILE|URL|random[:SEED]|built",
    shell_complete=words("random", "built", or_files=True),
    help="A .safetensors, .pth or .pt file; a URL, checked against --sha256 or #sha256=...; "
    "random for an untrained network; built for what your own callable loaded. A recipe brings its own.",
)
_SHA256 = click.option(
    "--sha256", metavar="HEX", help="The expected SHA-256 of the weights, 64 digits; other files are refused."
)
_CLASSES = click.option(
    "--classes",
    metavar="N|voc|cityscapes|FILE",
    shell_complete=words("voc", "cityscapes", or_files=True),
    help="Names and colors: a known list, a number, or a .json or .toml file. 1 is a binary network.",
)
_CHANNELS = click.option(
    "--channels", type=CHANNELS, metavar="N", help="Channels of the image.  [default: 3]"
)
_SETTINGS = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the network; repeatable."
)
_CARD = click.option(
    "--card",
    type=FilePath(path_type=Path),
    metavar="FILE",
    help="Name, description, license, author, classes and input (dtype, scale, mean, std), as JSON or TOML.",
)
_IMAGES = click.option(
    "--images",
    multiple=True,
    metavar="DIR",
    type=FilePath(),
    shell_complete=files,
    help="Also compare on your own frames: a folder, file or pattern; repeatable.",
)

_LICENSE = click.option(
    "--license", "license_", metavar="TEXT", help="Of the model, such as Apache-2.0; wins over the card's."
)
_AUTHOR = click.option("--author", metavar="TEXT", help="Of the model; wins over the card's.")

_RESOLUTION = click.option(
    "--resolution",
    type=Real(0, above=True),
    metavar="METERS",
    help="Size on the ground of a pixel of the training data, such as 0.3: `fcn-edge map` warns of rasters "
    "that differ.",
)
normalize_option = click.option(
    "--normalize",
    metavar="imagenet|0-1|none|MEAN/STD",
    shell_complete=words("imagenet", "0-1", "none"),
    help="How the network was trained to get its input: ImageNet's mean and std, pixels scaled to 0..1, "
    "pixels as they are, or numbers such as 0.5/0.25. Your own network needs this, or a --card with both.",
)

devices_option = click.option(
    "--device",
    "devices",
    multiple=True,
    default=("cpu",),
    show_default=True,
    metavar="NAME",
    shell_complete=words("cpu", "cuda"),
    help="Where to compare with PyTorch; repeatable, e.g. --device cpu --device cuda.",
)


sizes_option = click.option(
    "--sizes",
    type=SizesType(),
    metavar="HxW,...",
    default=(),
    help="Also compare at these sizes, such as 480x640,720x1280.",
)


# What a model states about itself besides its card.
naming_options = option_group(_LICENSE, _AUTHOR, _RESOLUTION)

# The network, its weights and its card.
net_options = option_group(_WEIGHTS, _SHA256, _CLASSES, _CHANNELS, _SETTINGS, _CARD, _IMAGES)
