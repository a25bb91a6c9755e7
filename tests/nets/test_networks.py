"""The networks: names and shapes as in the originals, image size in and out, untrained outputs."""

from pathlib import Path

import pytest
import torch
from torch import nn

from fcn_edge import build
from fcn_edge.nets import build_with_weights, entries
from fcn_edge.nets.zoo.fcn_vgg16 import _bilinear
from fcn_edge.nets.zoo.resnet import BasicBlock, Bottleneck, ResNet
from fcn_edge_runtime.errors import UsageError

# Name and shape of every tensor, written by the reference implementations: torchvision 0.15 (fcn_resnet50,
# lraspp), jetson-inference's fork of torchvision (18, 34), pytorch-fcn (VGG-16).
REFERENCE = Path(__file__).parent / "reference"
NAMES = [entry.name for entry in entries()]
VGG = [name for name in NAMES if name.endswith("_vgg16")]
DILATED = ["fcn_resnet18", "fcn_resnet50", "lraspp_mobilenet_v3_large", "fcn_mobilenet_v3_large"]


def small(name):
    """Options that make a VGG network a tenth of its size; its layers are the same."""
    return {"fc_channels": 32} if name in VGG else {}


def count(net):
    return sum(parameter.numel() for parameter in net.parameters())


def on_no_memory(name, **options):
    with torch.device("meta"):
        return build(name, **options)


def reference(name):
    lines = (REFERENCE / f"{name}.txt").read_text().splitlines()
    return {key: [int(n) for n in shape.split("x") if n != "-"] for key, shape in map(str.split, lines)}


@pytest.mark.parametrize("name", sorted(path.stem for path in REFERENCE.glob("*.txt")))
def test_names_and_shapes_are_those_of_the_reference(name):
    expected = {key: shape for key, shape in reference(name).items() if not key.startswith("aux_classifier.")}

    found = {key: list(value.shape) for key, value in on_no_memory(name).state_dict().items()}

    assert found == expected


@pytest.mark.parametrize("entry", entries(), ids=NAMES)
def test_the_listed_number_of_parameters_is_the_true_one(entry):
    assert count(on_no_memory(entry.name)) == entry.parameters


@pytest.mark.parametrize(("name", "published"), [("fcn_resnet50", 35_322_218), ("fcn_resnet101", 54_314_346)])
def test_with_the_auxiliary_head_the_size_is_torchvisions(name, published):
    auxiliary = 1024 * 256 * 9 + 2 * 256 + 256 * 21 + 21

    assert count(on_no_memory(name)) + auxiliary == published


def test_lraspp_has_the_size_of_torchvisions():
    assert count(on_no_memory("lraspp_mobilenet_v3_large")) == 3_221_538


@pytest.mark.parametrize("name", NAMES)
def test_logits_have_the_images_size_at_any_size(name):
    net = on_no_memory(name, num_classes=4)

    for height, width in [(1, 1), (1, 90), (7, 40), (33, 47), (64, 64), (97, 131), (224, 225), (720, 1280)]:
        logits = net.eval()(torch.empty(2, 3, height, width, device="meta"))

        assert logits.shape == (2, 4, height, width)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 4])
def test_images_may_have_any_number_of_channels(name, channels):
    net = on_no_memory(name, in_channels=channels, **small(name))

    assert net(torch.empty(1, channels, 40, 56, device="meta")).shape == (1, 21, 40, 56)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"fcn_resnet34", "fcn_resnet101"}])
def test_untrained_networks_keep_their_signal_level(name):
    ramp = torch.linspace(-2, 2, 65)
    torch.manual_seed(0)
    image = torch.stack([ramp.expand(45, 65), ramp[:45, None].expand(45, 65), torch.randn(45, 65)])[None]

    with torch.no_grad():
        logits = build_with_weights(name, "random:0", options=small(name))(image)

    assert logits.argmax(1).unique().numel() >= 2
    assert 1e-3 < logits.std() < 1e2


@pytest.mark.parametrize("name", DILATED)
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_output_stride_is_the_step_between_features(name, stride):
    net = on_no_memory(name, output_stride=stride)

    features = net.backbone(torch.empty(1, 3, 128, 192, device="meta"))

    assert features.shape[-2:] == (128 // stride, 192 // stride)


@pytest.mark.parametrize(("block", "stride"), [(BasicBlock, 16), (Bottleneck, 8), (BasicBlock, 8)])
def test_a_dilated_resnet_equals_the_strided_one_on_its_grid(block, stride):
    torch.manual_seed(0)
    coarse = ResNet(block, (1, 1, 2, 2), in_channels=3, output_stride=32).eval()
    fine = ResNet(block, (1, 1, 2, 2), in_channels=3, output_stride=stride).eval()
    fine.load_state_dict(coarse.state_dict())
    image = torch.randn(1, 3, 64, 96)

    with torch.no_grad():
        expected = coarse(image)
        found = fine(image)[..., :: 32 // stride, :: 32 // stride]

    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["fcn_resnet50", "lraspp_mobilenet_v3_large"])
def test_an_invalid_output_stride_is_refused(name):
    with pytest.raises(UsageError, match="output_stride is 4, expected one of 8, 16, 32"):
        build(name, output_stride=4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [0, -1, True])
def test_an_invalid_number_of_classes_is_refused(name, classes):
    with pytest.raises(UsageError, match=r"num_classes is .*, expected an integer from 1 to 65535"):
        on_no_memory(name, num_classes=classes)


def test_upsampling_layers_start_as_bilinear_interpolation():
    layer = nn.ConvTranspose2d(3, 3, 16, stride=8, bias=False)
    with torch.no_grad():
        layer.weight.copy_(_bilinear(layer))
        plane = torch.rand(1, 3, 6, 5)
        found = layer(plane)[..., 4:-4, 4:-4]

    expected = nn.functional.interpolate(plane, scale_factor=8, mode="bilinear", align_corners=False)

    # The border differs: interpolation repeats the edge, a transposed convolution fades to 0.
    assert torch.allclose(found[..., 8:-8, 8:-8], expected[..., 8:-8, 8:-8], atol=1e-6)


def test_fcn8s_at_once_scales_the_skips_down():
    net = build("fcn8s_vgg16", fc_channels=8, at_once=True).eval()
    image = torch.rand(1, 3, 2, 3)
    with torch.no_grad():
        expected = net(image)
        net.scale_pool3 = net.scale_pool4 = 1.0
        net.score_pool4.weight.mul_(0.01)
        net.score_pool3.weight.mul_(0.0001)

        assert torch.allclose(net(image), expected, atol=1e-5)


def test_the_width_of_fcn_tiny_is_an_option():
    assert build("fcn_tiny", width=32).conv1.weight.shape == (32, 3, 3, 3)
    assert list(build("fcn_tiny").state_dict()) == [
        "conv1.weight",
        "conv1.bias",
        "conv2.weight",
        "conv2.bias",
    ]
