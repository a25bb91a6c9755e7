"""What networks compute with the size of their image is traced for every size, not for one."""

from __future__ import annotations

import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from fcn_edge_export import ExportOptions, export
from fcn_edge_export.examples import example_size
from fcn_edge_export.graph.means import split_means
from fcn_edge_export.probe import probe
from fcn_edge_export.reference import LogitsNetwork, prepared
from fcn_edge_export.trace import trace
from fcn_edge_export.unchanging import Unchanging
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import ArtifactError, VerificationError
from fcn_edge_runtime.model.card import Card, InputSpec
from tests.export import idioms

SIZES = ((1, 64, 96), (3, 97, 131), (1, 131, 97), (2, 45, 67), (1, 250, 331), (1, 33, 240))


def seeded(build):
    torch.manual_seed(0)
    return build().eval()


def traced(net):
    sizes = probe(net, 3)
    network = LogitsNetwork.of(net, sizes)
    model = trace(network, 3, sizes, example_size(network, 3, sizes)).model
    split_means(model)  # as is done behind the simplifier
    return network, sizes, onnxruntime.InferenceSession(model.SerializeToString())


IDIOMS = {
    "pooling over the whole map": idioms.PoolsTheWholeMap,
    "max pooling to a grid": idioms.MaxPoolsToAGrid,
    "pooling to a computed size": idioms.PoolsToAComputedSize,
    "Python's numbers": idioms.CountsWithPython,
    "values of its own tensors": idioms.DecidesByItsBuffers,
    "coordinates": idioms.Coordinates,
    "positions, bicubic": lambda: idioms.Positions(antialias=False),
    "positions, antialiased": lambda: idioms.Positions(antialias=True),
    "antialiased resize": idioms.AntialiasedDown,
    "unfold and fold": idioms.Patches,
    "deviation": idioms.Deviation,
    "transposed convolution to a size": idioms.TransposedToASize,
    "padding by computed amounts": idioms.PadsByComputedAmounts,
    "group norm": idioms.GroupNormed,
    "relative positions": idioms.RelativePositions,
    "positions of rows and of columns": idioms.PositionsOfRowsAndColumns,
    "calculating with fractions": idioms.CalculatesWithFractions,
    "attention of other axes": idioms.AttendsWithOtherAxes,
    "shifted windows": idioms.Windows,
    "windows of merged maps": idioms.WindowsInStages,
    "sizes as tensors": idioms.SizesAsTensors,
    "sizes counted": idioms.CountsItsPixels,
    "types of numbers": idioms.AsksForTypes,
    "pooling of strips": idioms.PoolsStrips,
    "values written by masks": idioms.WritesByMasks,
    "a map that shrinks to a pixel": idioms.Deep,
    "negative pads": idioms.CropsByNegativePads,
    "counting from a half": idioms.CountsFromAHalf,
    "Fourier transforms": idioms.Fourier,
    "scripted parts": idioms.HasScriptedParts,
    "kernels of its own": idioms.KernelsOfItsOwn,
    "grids of matrices": idioms.TurnsByAGrid,
    "grids kept by size": idioms.KeepsGridsBySize,
    "nearest to computed sizes": idioms.NearestToComputedSizes,
    "pooling of parts": idioms.PoolsByParts,
    "pooling of rows": idioms.PoolsItsRows,
    "sizes read from tensors": idioms.ReadsSizesFromTensors,
    "logarithms and waves": idioms.ComputesByMath,
    "tensors of old types": idioms.SizesByOldTypes,
    "grids of numpy": idioms.GridsOfNumpy,
    "waves of numpy": idioms.WavesOfNumpy,
}


FEW = (
    "pooling over the whole map",
    "Python's numbers",
    "positions, bicubic",
    "unfold and fold",
    "group norm",
)


@pytest.mark.parametrize(
    "idiom", [pytest.param(name, marks=() if name in FEW else pytest.mark.slow) for name in IDIOMS]
)
@pytest.mark.sampled(1)
def test_a_computation_with_the_size_is_right_at_others(idiom):
    network, sizes, session = traced(seeded(IDIOMS[idiom]))
    for batch, *sides in SIZES:
        least = max(sizes.smallest, 64 if idiom.startswith("a map") else 1)
        height, width = (max(least, -(-side // sizes.multiple) * sizes.multiple) for side in sides)
        x = torch.randn(batch, 3, height, width)
        with torch.no_grad():
            expected = network(x).numpy()
        got = session.run(None, {"normalized": x.numpy()})[0]
        assert got.shape == expected.shape
        assert np.abs(got - expected).max() <= 2e-5 * np.abs(expected).max(), (height, width)


def exported(net, folder, **options):
    card = Card("net", (), InputSpec.unit())
    return export(net, card, folder / "net.onnx", options=ExportOptions(trained=False, **options))


def test_a_call_changes_nothing_on_the_network():
    net = idioms.KeepsItsFirstGrid()
    with torch.no_grad():
        wide, small = (Unchanging(net)(torch.ones(1, 3, 8, side)) for side in (32, 16))
        fresh = seeded(lambda: net)(torch.ones(1, 3, 8, 16))
    assert wide.shape[-1] == 32
    assert torch.equal(small, fresh)


def test_a_size_that_the_code_fixes_is_refused_with_its_line():
    replaced = (torch.tensor, torch.arange, torch.Tensor.to, torch.Size.numel)
    with pytest.raises(ArtifactError, match=r"code \(idioms\.py:\d+: steps = .*\) fixes the height "):
        traced(seeded(idioms.RepeatsByItsHeight))
    assert replaced == (torch.tensor, torch.arange, torch.Tensor.to, torch.Size.numel)


def test_places_of_maxima_of_a_part_are_refused_with_the_reason():
    with pytest.raises(ArtifactError, match=r"maxima by a kernel that is computed .*and their places"):
        traced(seeded(idioms.PoolsWithPlaces))


@pytest.mark.slow
def test_a_size_used_as_a_number_is_refused_without_a_multiple(tmp_path):
    with pytest.raises(
        VerificationError, match=r"idioms\.py:\d+: return f \* math.gcd.*remove the condition$"
    ):
        exported(seeded(idioms.CommonDivisor), tmp_path)


@pytest.mark.slow
def test_a_network_that_remembers_images_is_as_it_was_handed(tmp_path):
    net = seeded(idioms.KeepsItsFirstGrid)
    result = exported(net, tmp_path)
    assert (net.grid, net.seen) == (None, 0)
    for width in (96, 64):  # a new network each: the grid of 96 columns is not that of 64
        image = np.random.default_rng(0).integers(0, 256, (48, width, 3), np.uint8)
        x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad(), Segmenter(result.path) as segmenter:
            expected = seeded(idioms.KeepsItsFirstGrid)(x).argmax(1)[0].numpy()
            assert (segmenter(image).labels == expected).mean() > 0.999


def test_a_kernel_chosen_by_parity_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(VerificationError, match=r"idioms\.py:\d+: odd = x\.shape.*--size-multiple 2$"):
        exported(seeded(idioms.CentersIfEven), tmp_path)


def test_a_recurrent_layer_is_refused_before_it_is_compared(tmp_path):
    with pytest.raises(ArtifactError, match=r"^trace: the network has a recurrent layer \(GRU\)"):
        exported(seeded(idioms.Recurrent), tmp_path)


def test_a_requested_multiple_is_padded_to(tmp_path):
    net = seeded(idioms.CentersIfEven)
    result = exported(net, tmp_path, size_multiple=2)
    assert result.card.geometry.size_multiple == 2
    image = np.random.default_rng(0).integers(0, 256, (61, 83, 3), np.uint8)
    padded = np.pad(image, ((0, 1), (0, 1), (0, 0)), "edge")
    with torch.no_grad(), Segmenter(result.path) as segmenter:
        x = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
        expected = net(x).argmax(1)[0, :61, :83].numpy()
        assert (segmenter(image).labels == expected).mean() > 0.999


def test_a_network_of_one_size_works_at_its_working_size(tmp_path):
    net = seeded(idioms.OneSize)
    with pytest.raises(ArtifactError, match=r"accepted no .*size HEIGHTxWIDTH"):
        exported(net, tmp_path)
    result = exported(net, tmp_path, working_size="96x64")
    assert str(result.card.working_size) == "96x64"
    with Segmenter(result.path) as segmenter:
        assert segmenter(np.zeros((61, 83, 3), np.uint8)).labels.shape == (61, 83)


@pytest.mark.parametrize(
    "norm",
    [lambda: torch.nn.GroupNorm(2, 4), lambda: torch.nn.InstanceNorm2d(4, affine=True)],
    ids=("group", "instance"),
)
def test_a_norm_over_all_pixels_is_as_exact_on_large_images(norm):
    layers = (torch.nn.Conv2d(3, 4, 1), norm(), torch.nn.Conv2d(4, 3, 1))
    network, _, session = traced(seeded(lambda: torch.nn.Sequential(*layers)))
    x = torch.rand(1, 3, 1440, 2560) + 3
    with torch.inference_mode():
        expected = network(x).numpy()
    got = session.run(None, {"normalized": x.numpy()})[0]
    assert np.abs(got - expected).max() < 2e-5 * np.abs(expected).max()


class Loaded(idioms.Idiom):
    """A weight that is a view of what was loaded."""

    def __init__(self) -> None:
        super().__init__()
        loaded = torch.randn(64)
        self.register_buffer("scale", loaded[8:12].view(4, 1, 1))

    def inside(self, f: torch.Tensor) -> torch.Tensor:
        return f * self.scale


def test_weights_that_are_views_of_a_file_are_traced():
    net = seeded(Loaded)
    _, _, session = traced(net)
    x = torch.randn(2, 3, 45, 67)
    np.testing.assert_allclose(session.run(None, {"normalized": x.numpy()})[0], net(x).detach(), atol=1e-5)


def parametrized():
    of = nn.utils.parametrizations
    return nn.Sequential(
        of.weight_norm(nn.Conv2d(3, 4, 3, padding=1)),
        of.spectral_norm(nn.Conv2d(4, 4, 3, padding=1)),
        of.orthogonal(nn.Conv2d(4, 4, 1)),
    )


def test_weights_computed_of_others_become_what_they_are():
    net, x = seeded(parametrized), torch.randn(1, 3, 9, 11)
    ready = prepared(net)
    assert not any(is_parametrized(module) for module in ready.modules())
    assert all(is_parametrized(module) for module in net)
    with torch.no_grad():
        torch.testing.assert_close(ready(x), net(x))


def test_a_network_with_normed_weights_is_copied_after_a_call():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the older weight_norm is what many networks have
        net = nn.Sequential(nn.utils.weight_norm(nn.Conv2d(3, 4, 3)), nn.Dropout())
    x = torch.randn(1, 3, 9, 11)
    net(x)  # in training: the weight has a history, with which torch copies nothing
    ready = prepared(net)
    assert net.training
    with torch.no_grad():
        torch.testing.assert_close(ready(x), net.eval()(x))


@pytest.mark.slow
def test_a_file_right_where_it_was_traced_is_traced_again(tmp_path):
    result = exported(seeded(idioms.FreezesSmallMaps), tmp_path)
    assert [stage.name for stage in result.stages].count("trace") == 2
    assert all(verdict.passed for verdict in result.verdicts)


@pytest.mark.slow
def test_a_file_wrong_where_it_was_traced_is_refused_at_once(tmp_path, monkeypatch):
    traces = []
    monkeypatch.setattr("fcn_edge_export.trace.trace", lambda *args: traces.append(args) or trace(*args))
    with pytest.raises(VerificationError, match="inputs differ from PyTorch"):
        exported(seeded(idioms.OtherwiseIfTraced), tmp_path)
    assert len(traces) == 1
