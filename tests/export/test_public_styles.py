"""Networks in the style of public repositories come out right at every size, or at their declared one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fcn_edge_export.probe import Question, probe
from fcn_edge_export.sizes import find_sizes
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import ArtifactError, InputError
from tests.export import positions
from tests.export import public_styles as styles
from tests.export.idioms import LeavesOutPartialPatches
from tests.export.test_idioms import exported, seeded, traced

STYLES = (
    styles.PatchSegmenter,
    styles.PyramidOfEightPlusOne,
    pytest.param(styles.DualResolution, marks=pytest.mark.slow),
    pytest.param(styles.ShortTerm, marks=pytest.mark.slow),
    pytest.param(styles.SemanticFlow, marks=pytest.mark.slow),
    pytest.param(styles.PointRefined, marks=pytest.mark.slow),
    pytest.param(styles.Unpooled, marks=pytest.mark.slow),
    pytest.param(styles.CrissCross, marks=pytest.mark.slow),
)
SIZES = ((1, 64, 96), (2, 97, 131), (1, 80, 64), (1, 45, 67), (1, 250, 331))


@pytest.mark.parametrize("build", STYLES)
@pytest.mark.slow
def test_a_network_in_a_public_style_is_right_at_any_size(build):
    network, sizes, session = traced(seeded(build))
    for batch, *sides in SIZES:
        height, width = (-(-side // sizes.multiple) * sizes.multiple for side in sides)
        x = torch.randn(batch, 3, height, width)
        with torch.no_grad():
            expected = network(x).numpy()
        got = session.run(None, {"normalized": x.numpy()})[0]
        assert np.abs(got - expected).max() <= 5e-5 * np.abs(expected).max(), (height, width)


@pytest.mark.slow
def test_sides_of_k_n_plus_r_are_padded_to(tmp_path):
    net = seeded(styles.PyramidOfEightPlusOne)
    result = exported(net, tmp_path)
    assert "padded to sides of k * 8 + 1" in result.stages[0].summary
    image = np.random.default_rng(0).integers(0, 256, (65, 90, 3), np.uint8)
    with torch.no_grad(), Segmenter(result.path) as segmenter:
        x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        expected = net(F.pad(x, (0, 7, 0, 0), mode="replicate")).argmax(1)[0, :, :90].numpy()
        assert (segmenter(image).labels == expected).mean() > 0.999


RESIZED_POSITIONS = {
    "DINO, linear head": (lambda: positions.LinearHead(positions.Dino()), 64),
    "DINO, growing head": (lambda: positions.GrowingHead(positions.Dino(128, 16)), 128),
    "DINOv2, padded": (lambda: positions.PaddedHead(positions.DinoV2()), 64),
    "DINOv2, patches of 14": (lambda: positions.GrowingHead(positions.DinoV2(70, 14)), 70),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", RESIZED_POSITIONS)
def test_positions_skipped_at_their_own_size_are_never_wrong(kind, tmp_path):
    build, own = RESIZED_POSITIONS[kind]
    net = seeded(build)
    result = exported(net, tmp_path, outputs=("labels", "logits"))
    geometry = result.card.geometry
    multiple, smallest, largest = geometry.size_multiple, geometry.smallest_size, geometry.largest_size
    seen = 0
    for height, width in ((own, own), (own - 1, own), (33, 47), (2 * own, own // 2), (97, 131), (250, 331)):
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        with torch.no_grad(), Segmenter(result.path) as segmenter:
            if min(height, width) < smallest or (largest is not None and (height, width) > largest):
                with pytest.raises(InputError):
                    segmenter(image)
                continue
            x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
            x = F.pad(x, (0, -width % multiple, 0, -height % multiple), mode="replicate")
            expected = net(x)[..., :height, :width].numpy()
            assert np.abs(segmenter(image).logits - expected).max() <= 5e-5 * np.abs(expected).max()
            seen += 1
    assert seen


class Landscape(nn.Module):
    """Positions for images of 240 x 320 alone."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 16, stride=16)
        self.positions = nn.Parameter(torch.randn(1, 8, 15, 20))
        self.head = nn.Conv2d(8, 3, 1)

    def forward(self, x):
        return self.head(self.patch(x) + self.positions)


class Told(Landscape):
    """Says in an attribute which size it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.img_size = (48, 80)
        self.positions = nn.Parameter(torch.randn(1, 8, 3, 5))

    def forward(self, x):
        return F.interpolate(super().forward(x), (48, 80), mode="bilinear")


def test_a_network_of_one_size_is_refused_with_the_command(tmp_path):
    with pytest.raises(ArtifactError, match=r"images of 240x320 alone: add --working-size 240x320,"):
        exported(seeded(Landscape), tmp_path)


class Square(nn.Module):
    """Takes square images of whole patches, and says for which it was made."""

    image_size = 128

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 4, 16, stride=16)

    def forward(self, x):
        side = int(self.patch(x).flatten(2).shape[2] ** 0.5)
        return F.interpolate(self.patch(x).flatten(2).unflatten(2, (side, side)), scale_factor=16.0)


def test_the_size_that_a_network_was_made_for_is_proposed():
    with pytest.raises(ArtifactError, match=r"square images alone: add --working-size 128x128"):
        probe(Square(), 3)


def test_the_one_size_of_a_network_is_its_automatic_working_size(tmp_path):
    result = exported(seeded(Told), tmp_path, working_size="auto")
    assert str(result.card.working_size) == "48x80"


class MadeForASizeThatFails(nn.Module):
    """Takes no image, and says for which it was made."""

    img_size = (98, 98)

    def forward(self, x):
        if x.shape[-1] != 98:
            raise ValueError("wrong size")
        return x + x[..., :-1]


def test_the_error_at_the_size_a_network_was_made_for_is_shown():
    with pytest.raises(ArtifactError, match=r"error at 98 was: RuntimeError: The size of tensor a \(98\)"):
        probe(MadeForASizeThatFails(), 3)


def test_a_large_multiple_is_found_by_images_of_ordinary_size():
    tried = []

    def shape_at(height, width):
        tried.append(height * width)
        return None if height % 256 or width % 256 else (1, 3, height, width)

    assert find_sizes(shape_at, 512, (1, 3, 512, 512)).multiple == 256
    assert max(tried) <= 1080 * 1920


def test_a_network_that_cuts_to_whole_patches_has_a_multiple():
    found = probe(LeavesOutPartialPatches(), 3)
    assert (found.multiple, found.smallest) == (14, 14)


def test_a_requested_multiple_is_no_grid_around_another_size():
    found = probe(nn.Conv2d(3, 4, 3, padding=1), 3, Question(multiple=64))
    assert (found.multiple, found.grid, found.smallest) == (64, None, 64)


def test_a_network_of_any_size_has_no_automatic_working_size():
    net = nn.Conv2d(3, 4, 3, padding=1)
    assert probe(net, 3, auto=True).fixed is None


class NeverHits(nn.Module):
    """Doubles its map until it is as wide as the image, which it never is at most sizes."""

    def forward(self, x):
        out = F.avg_pool2d(x, 8)
        while out.shape[-1] != x.shape[-1]:
            out = F.interpolate(out, scale_factor=2.0)
        return out


@pytest.mark.slow
def test_a_network_that_doubles_forever_needs_a_multiple():
    assert probe(NeverHits(), 3).multiple == 8
