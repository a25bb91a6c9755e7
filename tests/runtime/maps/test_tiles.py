"""Tiles are exactly the image in one piece: for every kept artifact, at many sizes."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.maps.exactness import compared, require_exact
from fcn_edge_runtime.maps.network import TileNetwork
from fcn_edge_runtime.maps.tiles import TiledImage
from fcn_edge_runtime.model.golden_input import pattern

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
KINDS = [
    "float",
    "padded",
    "binary",
    "uint16",
    "float32-input",
    "300-classes",
    "sparse",
    "int8",
]
TIE = 8 * 2.0**-23


@pytest.fixture(scope="module")
def networks():
    """A function from a kind to its open network, whose reach is known to be enough."""

    @functools.cache
    def opened(kind):
        network = TileNetwork(path_of(kind), "cpu", 1)
        require_exact(network, 1021, 1019)
        return network

    return opened


def path_of(kind):
    return ARTIFACTS / f"0.1.0-{kind}.onnx"


def image_for(card, height, width, seed=1):
    return pattern(1, height, width, card.input.channels, seed, card.input)[0]


def in_tiles(network, image, core):
    tiled = TiledImage(network, *image.shape[:2], core)
    labels = np.full(image.shape[:2], network.card.unlabeled, network.card.label_dtype)
    confidence = np.full(image.shape[:2], np.nan, np.float32)
    for tile in tiled.tiles:
        found = tiled.label(tile, network.run(np.ascontiguousarray(image[tile.window])))
        labels[tile.core] = found.labels
        if found.confidence is not None:
            confidence[tile.core] = found.confidence
    return labels, confidence


def upsampled(network, image):
    """The scores of the whole image at full size, in float64."""
    scores = network.scores(image, network.scores_session()).astype(np.float64)
    if network.low:
        for position, axis in enumerate(network.axes(*image.shape[:2]), 1):
            before, after, share = axis.axis.neighbors()
            share = share.reshape(-1, *(1,) * (2 - position)).astype(np.float64)
            first = scores.take(before, axis=position)
            scores = first + (scores.take(after, axis=position) - first) * share
    return scores[:, : image.shape[0], : image.shape[1]]


def too_close(network, image):
    """Where the decision is a tie by the verdict's rule."""
    scores = upsampled(network, image)
    bound = TIE * np.abs(scores).max()
    if len(scores) == 1:
        return np.abs(scores[0]) <= bound
    top = np.partition(scores, -2, axis=0)
    return top[-1] - top[-2] <= bound


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_have_the_labels_of_the_whole_image(networks, kind):
    rng = np.random.default_rng(KINDS.index(kind))
    network = networks(kind)
    with Segmenter(path_of(kind), "cpu", 1, outputs=("labels",)) as segmenter:
        for _ in range(40):
            height, width = (int(side) for side in rng.integers(1, 120, 2))
            core = tuple(int(side) for side in rng.choice([8, 16, 17, 32, 40], 2))
            image = image_for(network.card, height, width, int(rng.integers(9)))
            labels, _ = in_tiles(network, image, core)
            wrong = labels != segmenter(image).labels
            if wrong.any():
                wrong &= ~too_close(network, image)
            assert not wrong.any(), (height, width, core, int(wrong.sum()))


@pytest.mark.parametrize("kind", KINDS)
def test_scores_of_tiles_are_bit_equal(networks, kind):
    network = networks(kind)
    session = network.scores_session()
    for size in ((64, 96), (75, 101), (33, 130)):
        assert compared(network, session, image_for(network.card, *size), (24, 40)).largest == 0


@pytest.mark.parametrize("kind", ["float", "padded", "binary", "int8"])
def test_confidence_of_tiles_is_that_of_the_whole(kind):
    network = TileNetwork(path_of(kind), "cpu", 1, confidence=True)
    require_exact(network, 75, 101)
    image = image_for(network.card, 75, 101)
    _, confidence = in_tiles(network, image, (24, 40))
    with Segmenter(path_of(kind), "cpu", 1) as segmenter:
        assert np.abs(confidence - segmenter(image).confidence).max() <= 1e-5


def test_a_network_that_sees_the_whole_image_is_refused():
    with pytest.raises(UsageError, match="whole image"):
        TileNetwork(path_of("pooled"), "cpu", 1)
