"""Large sizes of heavy networks are verified in stripes where those show the same, and whole where not."""

from __future__ import annotations

import numpy as np
import onnx.parser
import pytest
import torch

from fcn_edge_export import ExportOptions, export
from fcn_edge_export.operations import OperationsAt
from fcn_edge_export.verification import stripes
from fcn_edge_runtime import Card, InputError, Segmenter, VerificationError
from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.model.card import InputSpec
from tests.export import sized

LARGE = ((1, 720, 1280),)
WINDOWS = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 18]>'
    "net (float[N, 3, H, W] normalized) => (float[N, 3, H, W] logits) { logits = Relu(normalized) }"
)
SPEC = InputSpec.unit()


@pytest.fixture
def every_network_is_heavy(monkeypatch):
    monkeypatch.setattr(stripes, "MOST_WORK", 0)


def seeded(build):
    torch.manual_seed(0)
    return build().eval()


def verified_at(net, *, smallest=1, multiple=1, sizes=LARGE):
    operations = OperationsAt(net, 3)
    return stripes.in_stripes(sizes, WINDOWS, (), operations, smallest=smallest, multiple=multiple)


@pytest.mark.usefixtures("every_network_is_heavy")
@pytest.mark.parametrize(
    ("smallest", "multiple", "expected"),
    [
        (1, 1, ((1, 720, 64), (1, 80, 1280))),
        (1, 3, ((1, 720, 128), (1, 144, 1280))),
        (100, 1, ((1, 720, 128), (1, 144, 1280))),
        (1, 14, ((1, 720, 1280),)),  # stripes of 384 would hold most of it
        (500, 1, ((1, 720, 1280),)),
    ],
)
def test_stripes_leave_the_remainders_of_the_whole(smallest, multiple, expected):
    assert verified_at(seeded(sized.Heavy), smallest=smallest, multiple=multiple) == expected


def test_only_work_decides_what_is_verified_whole(monkeypatch):
    net = seeded(sized.Heavy)
    work = OperationsAt(net, 3)(720, 1280).work
    assert work == 720 * 1280 * 4 * 3 * 3 * 3
    monkeypatch.setattr(stripes, "MOST_WORK", work)
    assert verified_at(net) == LARGE
    monkeypatch.setattr(stripes, "MOST_WORK", work - 1)
    assert len(verified_at(net)) == 2


@pytest.mark.usefixtures("every_network_is_heavy")
@pytest.mark.parametrize(
    "build",
    [
        sized.HiddenArea,
        sized.HiddenFactor,
        sized.HiddenWeights,
        sized.HiddenConstant,
        sized.LargeArea,
        sized.Cells,
    ],
    ids=lambda build: build.__name__,
)
def test_an_area_that_pytorch_treats_otherwise_stays_whole(build):
    sizes = ((1, 1080, 1920),)
    assert verified_at(seeded(build), sizes=sizes) == sizes


@pytest.mark.usefixtures("every_network_is_heavy")
@pytest.mark.parametrize("build", [sized.HiddenWidth, sized.Wide], ids=lambda build: build.__name__)
def test_a_width_that_pytorch_treats_otherwise_stays_whole(build):
    assert verified_at(seeded(build)) == LARGE


class ByValue(sized.Heavy):
    def forward(self, x):
        return super().forward(x) if x.max() > 0 else self.other(x)


@pytest.mark.usefixtures("every_network_is_heavy")
def test_a_network_that_decides_by_its_pixels_stays_whole():
    assert verified_at(seeded(ByValue)) == LARGE


def test_recording_operations_leaves_the_network_as_it_was():
    net = seeded(sized.HiddenConstant)
    x = torch.rand(1, 3, 33, 47)
    before = net(x)
    assert OperationsAt(net, 3)(33, 47).work > 0
    assert torch.equal(net(x), before)


def labels_of(net, image):
    with torch.no_grad():
        return net(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255).argmax(1)[0].numpy()


LIES = (
    sized.LargeArea,
    sized.HiddenArea,
    sized.Wide,
    sized.HiddenWidth,
    sized.HiddenFactor,
    sized.HiddenWeights,
    sized.HiddenConstant,
    sized.Cells,
    sized.Columns,
    sized.HalfCoordinates,
    sized.Mean,
)


@pytest.mark.usefixtures("every_network_is_heavy")
@pytest.mark.parametrize("build", LIES, ids=lambda build: build.__name__)
@pytest.mark.sampled(1)
def test_a_heavy_network_that_lies_is_refused_or_right(tmp_path, build):
    net = seeded(build)
    try:
        result = export(
            net, Card("net", (), SPEC), tmp_path / "net.onnx", options=ExportOptions(trained=False)
        )
    except (VerificationError, ArtifactError):
        assert list(tmp_path.iterdir()) == []
        return
    image = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
    with Segmenter(result.path) as segmenter:
        try:
            labels = segmenter(image).labels
        except InputError:  # beyond the range on its card
            assert result.card.geometry.largest_size is not None
            return
    assert (labels == labels_of(net, image)).mean() > 0.999


@pytest.mark.usefixtures("every_network_is_heavy")
def test_a_file_verified_in_stripes_names_them_and_is_right(tmp_path):
    net = seeded(sized.Heavy)
    result = export(net, Card("net", (), SPEC), tmp_path / "net.onnx", options=ExportOptions(trained=False))
    sizes = result.card.verification.sizes
    assert (1, 720, 1280) not in sizes
    assert {(1, 720, 64), (1, 80, 1280), (1, 480, 64), (1, 96, 640)} <= set(sizes)
    summary = next(stage.summary for stage in result.stages if stage.name == "sizes")
    assert "480x640 and 720x1280 in stripes" in summary
    image = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
    with Segmenter(result.path) as segmenter:
        assert (segmenter(image).labels == labels_of(net, image)).mean() > 0.999
