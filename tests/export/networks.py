"""Small networks, one for each way in which segmentation networks differ."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from tests.export.frames import picture

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def seeded(build, seed=0):
    """A network with random weights and batch norms, in evaluation mode; every class wins somewhere."""
    torch.manual_seed(seed)
    net = build()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.3, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    net.eval()
    for name, module in net.named_modules():
        if name.rpartition(".")[2] == "head":
            balance(net, module)
    return net


def balance(net, head):
    """Shift and scale the last layer so that each class's logits have mean 0 and variance 1 on an image."""
    channels = next(m for m in net.modules() if isinstance(m, nn.Conv2d)).in_channels
    x = torch.from_numpy(picture(96, 128, channels, "float32")).permute(2, 0, 1)[None]
    seen = []
    hook = head.register_forward_hook(lambda _, __, logits: seen.append(logits))
    with torch.no_grad():
        net((x - 0.45) / 0.22 if channels == 3 else x)
        hook.remove()
        std, mean = torch.std_mean(seen[0], dim=(0, 2, 3))
        outputs = 1 if isinstance(head, nn.ConvTranspose2d) else 0
        head.weight /= std.view([-1 if axis == outputs else 1 for axis in range(4)])
        head.bias.copy_((head.bias - mean) / std)


def block(inputs, outputs, stride=1):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def up(logits, like, *, align_corners=False):
    return F.interpolate(logits, size=like.shape[-2:], mode="bilinear", align_corners=align_corners)


class Plain(nn.Module):
    """Convolutions at a quarter of the size, logits upsampled, like most networks in these tests."""

    def __init__(self, channels=3, classes=5):
        super().__init__()
        self.body = nn.Sequential(block(channels, 8, 2), block(8, 8, 2))
        self.head = nn.Conv2d(8, classes, 1)
        self.align_corners = False

    def forward(self, x):
        return up(self.head(self.body(x)), x, align_corners=self.align_corners)


class OnlyMultiplesOfEight(nn.Module):
    """A U-Net-like skip that fits only at multiples of 8; elsewhere PyTorch raises."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 1)
        self.down = nn.ModuleList([block(6, 6, 2), block(6, 6, 2), block(6, 6, 2)])
        self.ups = nn.ModuleList([nn.ConvTranspose2d(6, 6, 2, stride=2) for _ in range(3)])
        self.head = nn.Conv2d(6, 4, 1)

    def forward(self, x):
        skips = []
        x = self.stem(x)
        for layer in self.down:
            skips.append(x)
            x = layer(x)
        for layer, skip in zip(self.ups, reversed(skips), strict=True):
            x = layer(x) + skip
        return self.head(x)


class Shrinks(nn.Module):
    """Pooling that rounds down, then a transposed convolution: 97x131 in, 96x128 out."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(block(3, 8), nn.MaxPool2d(4))
        self.head = nn.ConvTranspose2d(8, 5, 8, stride=4, padding=2)

    def forward(self, x):
        return self.head(self.body(x))


class LowResolution(nn.Module):
    """Logits at 1/2^halvings of the size, as many published networks return them."""

    def __init__(self, channels, halvings):
        super().__init__()
        self.body = nn.Sequential(block(channels, 8, 2), *(block(8, 8, 2) for _ in range(halvings - 1)))
        self.head = nn.Conv2d(8, 5, 1)

    def forward(self, x):
        return self.head(self.body(x))


@dataclass
class Output:
    """An object with `logits`, as transformer libraries return."""

    logits: torch.Tensor


torch.utils._pytree.register_dataclass(Output)


class Wrapped(nn.Module):
    """A network whose output is passed through `wrap`."""

    def __init__(self, net, wrap):
        super().__init__()
        self.net = net
        self.wrap = wrap

    def forward(self, x):
        return self.wrap(self.net(x))


class Pyramid(nn.Module):
    """PSPNet's head: averages over grids of 1, 2, 3 and 6 cells, upsampled and concatenated."""

    def __init__(self):
        super().__init__()
        self.body = block(3, 8, 4)
        self.branches = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(cells), nn.Conv2d(8, 2, 1), nn.ReLU())
            for cells in (1, 2, 3, 6)
        )
        self.head = nn.Conv2d(16, 5, 3, padding=1)

    def forward(self, x):
        features = self.body(x)
        seen = [features, *(up(branch(features), features) for branch in self.branches)]
        return up(self.head(torch.cat(seen, dim=1)), x)


class PyramidOfFeatures(nn.Module):
    """UPerNet's head: a pooling pyramid on top of a feature pyramid, levels summed and fused."""

    def __init__(self):
        super().__init__()
        self.levels = nn.ModuleList([block(3, 8, 2), block(8, 8, 2), block(8, 8, 2)])
        self.pools = nn.ModuleList(nn.Conv2d(8, 4, 1) for _ in range(3))
        self.cells = (1, 2, (3, 5))
        self.bottleneck = block(20, 8)
        self.lateral = nn.ModuleList(nn.Conv2d(8, 8, 1) for _ in range(2))
        self.head = nn.Conv2d(24, 6, 1)

    def forward(self, x):
        features = []
        value = x
        for level in self.levels:
            value = level(value)
            features.append(value)
        pooled = [
            up(conv(F.adaptive_avg_pool2d(value, cells)), value)
            for conv, cells in zip(self.pools, self.cells, strict=True)
        ]
        tops = [self.bottleneck(torch.cat([value, *pooled], dim=1))]
        for lateral, feature in zip(self.lateral, reversed(features[:-1]), strict=True):
            tops.append(lateral(feature) + up(tops[-1], feature))
        fused = torch.cat([up(top, features[0]) for top in tops], dim=1)
        return up(self.head(fused), x)


class Mirrored(nn.Module):
    """Reflect padding, which fails for an image of one pixel."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"), nn.ReLU())
        self.head = nn.Conv2d(8, 5, 1)

    def forward(self, x):
        return self.head(self.body(x))


class InstanceNormed(nn.Module):
    """Normalized by the statistics of each image: every logit depends on every pixel."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.InstanceNorm2d(8, affine=True, eps=1e-2), nn.ReLU()
        )
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, x):
        return self.head(self.body(x))


class BoundToOneSize(nn.Module):
    """A learned position for every pixel, as in many transformers: other sizes fail."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 4, 1)
        self.position = nn.Parameter(torch.ones(1, 4, 96, 96))

    def forward(self, x):
        return self.head(x) + self.position


class Offset(nn.Module):
    """Logits with an offset that all classes share, which changes no label."""

    def __init__(self, net, offset):
        super().__init__()
        self.net = net
        self.offset = offset

    def forward(self, x):
        return self.net(x) + self.offset


class Traced(nn.Module):
    """A network that differs while it is traced: `before` its logits, and `after` them.

    This is how a converter that gets something wrong looks from outside, and nothing is mocked.
    """

    def __init__(self, net, *, instead=None, before=None, after=None):
        super().__init__()
        self.net = net
        self.instead = instead or net
        self.before = before or (lambda x: x)
        self.after = after or (lambda logits: logits)

    def forward(self, x):
        if torch.compiler.is_exporting():
            return self.after(self.instead(self.before(x)))
        return self.net(x)


def changed(net, change):
    """A copy of a network after `change` was applied to each of its modules."""
    other = copy.deepcopy(net)
    for module in other.modules():
        change(module)
    return other


def per_channel(values):
    return torch.tensor(values).view(1, -1, 1, 1)
