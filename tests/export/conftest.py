"""Exports shared by many tests, each made once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from fcn_edge_export import ExportOptions, ExportResult, export
from fcn_edge_runtime.model.card import Card, InputSpec
from tests.export import networks
from tests.export.frames import picture

# The tracer's log, of which pytest would print a page for every failure.
logging.getLogger("torch.__trace").disabled = True

# These networks are tiny: on a busy machine a second thread costs more than it helps.
torch.set_num_threads(1)

ALL_OUTPUTS = ("labels", "confidence", "probabilities", "logits")
PROPERTIES = [  # of every file, in their order
    "Image.BitmapPixelFormat",
    "Image.ColorSpaceGamma",
    "Image.NominalPixelRange",
    "fcn_edge.card",
    "fcn_edge.golden",
    "fcn_edge.sha256",
]


@dataclass(frozen=True)
class Exported:
    """A network and its exported file."""

    net: torch.nn.Module
    path: Path
    result: ExportResult


def make(net, path, *, channels=3, dtype="uint8", images=None, **options):
    card = Card("test net", (), InputSpec.default(channels, dtype))
    return Exported(net, path, export(net, card, path, images=images, options=ExportOptions(**options)))


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """The plain network, exported with every output."""
    folder = tmp_path_factory.mktemp("plain")
    return make(networks.seeded(networks.Plain), folder / "plain.onnx", outputs=ALL_OUTPUTS)


@pytest.fixture
def frame():
    """A picture of 61 x 83 pixels, uint8 RGB."""
    return picture(61, 83, 3, "uint8")
