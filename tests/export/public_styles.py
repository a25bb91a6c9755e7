"""Small networks in the style of public repositories: how their code computes with the size of an image."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class DualResolution(nn.Module):
    """DDRNet: two branches at an 8th and a 64th, fused at sizes computed as numbers; pooled pyramids."""

    def __init__(self, classes: int = 4, planes: int = 8) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, planes, 2), conv(planes, planes, 2), conv(planes, planes, 2))
        self.low = nn.ModuleList([conv(planes, planes, 2), conv(planes, planes, 2), conv(planes, planes, 2)])
        self.high = nn.ModuleList([conv(planes, planes) for _ in range(3)])
        self.compress = nn.ModuleList([conv(planes, planes, kernel=1) for _ in range(2)])
        self.down = nn.ModuleList([conv(planes, planes, 2) for _ in range(2)])
        self.scales = nn.ModuleList(
            [
                nn.AvgPool2d(5, 2, 2),
                nn.AvgPool2d(9, 4, 4),
                nn.AvgPool2d(17, 8, 8),
                nn.AdaptiveAvgPool2d((1, 1)),
            ]
        )
        self.mixed = nn.ModuleList([conv(planes, planes) for _ in range(4)])
        self.head = nn.Conv2d(planes, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        width_output, height_output = x.shape[-1] // 8, x.shape[-2] // 8
        x = self.stem(x)
        low, high = self.low[0](x), self.high[0](x)
        low = self.low[1](low + self.down[0](high)) if low.shape == self.down[0](high).shape else low
        high = (
            high
            + F.interpolate(self.compress[0](low), size=[height_output, width_output], mode="bilinear")[
                ..., : high.shape[-2], : high.shape[-1]
            ]
        )
        high, low = self.high[1](high), self.low[2](low)
        width, height = low.shape[-1], low.shape[-2]
        pooled = low
        for scale, mix in zip(self.scales, self.mixed, strict=True):
            pooled = mix(F.interpolate(scale(low), size=[height, width], mode="bilinear") + pooled)
        pooled = F.interpolate(pooled, size=[height_output, width_output], mode="bilinear")
        return self.head(self.high[2](pooled + high))


class ShortTerm(nn.Module):
    """STDC and BiSeNet: attention by pooling with the size of the map, features resized to each other."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            [conv(3, 8, 2), conv(8, 8, 2), conv(8, 8, 2), conv(8, 8, 2), conv(8, 8, 2)]
        )
        self.attention = nn.ModuleList([nn.Sequential(nn.Conv2d(8, 8, 1), nn.Sigmoid()) for _ in range(2)])
        self.average = conv(8, 8, kernel=1)
        self.head = nn.Conv2d(16, classes, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        height, width = x.size()[2:]
        features = []
        f = x
        for stage in self.stages:
            f = stage(f)
            features.append(f)
        f8, f16, f32 = features[2:]
        h8, w8 = f8.size()[2:]
        h16, w16 = f16.size()[2:]
        h32, w32 = f32.size()[2:]
        average = F.interpolate(self.average(F.avg_pool2d(f32, f32.size()[2:])), (h32, w32), mode="nearest")
        f32 = f32 * self.attention[0](F.avg_pool2d(f32, f32.size()[2:])) + average
        f32 = F.interpolate(f32, (h16, w16), mode="nearest")
        f16 = f16 * self.attention[1](F.avg_pool2d(f16, f16.size()[2:])) + f32
        f16 = F.interpolate(f16, (h8, w8), mode="nearest")
        out = self.head(torch.cat([f8, f16], dim=1))
        return F.interpolate(out, (height, width), mode="bilinear", align_corners=True)


class SemanticFlow(nn.Module):
    """SFNet: a coarse map is warped onto a fine one along a learned flow, by grid_sample."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.fine = conv(3, 8, 4)
        self.coarse = conv(8, 8, 4)
        self.flow = nn.Conv2d(16, 2, 3, padding=1)
        self.head = nn.Conv2d(8, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x)
        coarse = self.coarse(fine)
        size = fine.size()[2:]
        flow = self.flow(
            torch.cat([F.interpolate(coarse, size, mode="bilinear", align_corners=True), fine], 1)
        )
        out = self.head(fine + self.warp(coarse, flow, size))
        return F.interpolate(out, x.shape[2:], mode="bilinear", align_corners=True)

    def warp(self, source: Tensor, flow: Tensor, size: torch.Size) -> Tensor:
        out_h, out_w = size
        n = source.size(0)
        norm = torch.tensor([[[[out_w, out_h]]]]).type_as(source).to(source.device)
        h = torch.linspace(-1.0, 1.0, out_h).view(-1, 1).repeat(1, out_w)
        w = torch.linspace(-1.0, 1.0, out_w).repeat(out_h, 1)
        grid = torch.cat((w.unsqueeze(2), h.unsqueeze(2)), 2)
        grid = grid.repeat(n, 1, 1, 1).type_as(source).to(source.device)
        grid = grid + flow.permute(0, 2, 3, 1) / norm
        return F.grid_sample(source, grid, align_corners=True)


class PyramidOfEightPlusOne(nn.Module):
    """PSPNet as semseg has it: sides of 8 k + 1 alone."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(3, 8, 2), conv(8, 8, 2), conv(8, 8, 2))
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(n), conv(8, 2, kernel=1)) for n in (1, 2, 3)
        )
        self.head = nn.Conv2d(14, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = x.size()
        assert (size[2] - 1) % 8 == 0
        assert (size[3] - 1) % 8 == 0
        h, w = int((size[2] - 1) / 8 * 8 + 1), int((size[3] - 1) / 8 * 8 + 1)
        f = self.body(x)
        seen = [
            f,
            *(F.interpolate(p(f), f.size()[2:], mode="bilinear", align_corners=True) for p in self.pools),
        ]
        return F.interpolate(self.head(torch.cat(seen, 1)), size=(h, w), mode="bilinear", align_corners=True)


class PointRefined(nn.Module):
    """PointRend: the least certain points of the upsampled scores are classified again."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.fine = conv(3, 8, 2)
        self.body = conv(8, 8, 4)
        self.coarse = nn.Conv2d(8, classes, 1)
        self.points = nn.Conv1d(8 + classes, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x)
        out = self.coarse(self.body(fine))
        while out.shape[-1] != x.shape[-1]:
            out = F.interpolate(out, scale_factor=2, mode="bilinear", align_corners=True)
            points_at, points = self.uncertain(out, 64)
            coarse = F.grid_sample(out, 2.0 * points.unsqueeze(2) - 1.0, align_corners=False).squeeze(3)
            detail = F.grid_sample(fine, 2.0 * points.unsqueeze(2) - 1.0, align_corners=False).squeeze(3)
            rendered = self.points(torch.cat([coarse, detail], dim=1))
            batch, channels, height, width = out.shape
            index = points_at.unsqueeze(1).expand(-1, channels, -1)
            out = out.reshape(batch, channels, -1).scatter_(2, index, rendered)
            out = out.view(batch, channels, height, width)
        return out

    def uncertain(self, scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
        batch, _, height, width = scores.shape
        best = scores.sort(1, descending=True)[0]
        margin = -1 * (best[:, 0] - best[:, 1])
        count = min(height * width, count)
        _, index = margin.view(batch, -1).topk(count, dim=1)
        x = (1.0 / width) / 2.0 + (index % width).float() * (1.0 / width)
        y = (1.0 / height) / 2.0 + torch.div(index, width, rounding_mode="trunc").float() * (1.0 / height)
        return index, torch.stack([x, y], dim=2)


class PatchSegmenter(nn.Module):
    """Segmenter: a vision transformer whose positions are resized, images padded to whole patches."""

    def __init__(self, classes: int = 4, patch: int = 16, width: int = 16, grid: int = 6) -> None:
        super().__init__()
        self.patch, self.grid = patch, grid
        self.embed = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.positions = nn.Parameter(torch.randn(1, grid * grid + 1, width) * 0.2)
        self.block = nn.TransformerEncoderLayer(width, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, im: Tensor) -> Tensor:
        height, width = im.size(2), im.size(3)
        right = self.patch - width % self.patch if width % self.patch > 0 else 0
        down = self.patch - height % self.patch if height % self.patch > 0 else 0
        padded = F.pad(im, (0, right, 0, down), value=0) if right > 0 or down > 0 else im
        x = self.embed(padded)
        rows, columns = padded.size(2) // self.patch, padded.size(3) // self.patch
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(im.shape[0], -1, -1), x), dim=1)
        positions = self.positions
        if x.shape[1] != positions.shape[1]:
            positions = self.resized(positions, rows, columns)
        x = self.block(x + positions)[:, 1:]
        scores = self.head(x).transpose(1, 2).reshape(im.shape[0], -1, rows, columns)
        scores = F.interpolate(scores, size=padded.shape[2:], mode="bilinear")
        return scores[:, :, :height, :width]

    def resized(self, positions: Tensor, rows: int, columns: int) -> Tensor:
        token, grid = positions[:, :1], positions[0, 1:]
        side = int(math.sqrt(len(grid)))
        grid = grid.reshape(1, side, side, -1).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, size=(rows, columns), mode="bilinear")
        grid = grid.permute(0, 2, 3, 1).reshape(1, rows * columns, -1)
        return torch.cat([token, grid], dim=1)


class ValidUNet(nn.Module):
    """The first U-Net: no padding, skips cropped to what is left, 12 pixels fewer on each side."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU())
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.last = nn.Sequential(nn.Conv2d(16, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU())
        self.head = nn.Conv2d(8, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.first(x)
        up = self.up(self.second(F.max_pool2d(skip, 2)))
        top, left = ((skip.shape[axis] - up.shape[axis]) // 2 for axis in (2, 3))
        skip = skip[:, :, top : top + up.shape[2], left : left + up.shape[3]]
        return self.head(self.last(torch.cat([skip, up], 1)))


class Unpooled(nn.Module):
    """ENet and SegNet: maxima put back to where they were pooled, at sizes that were kept."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.stem = conv(3, 8, 2)
        self.down = nn.ModuleList([conv(8, 16), conv(16, 16)])
        self.up = nn.ModuleList([conv(16, 16), conv(16, 8)])
        self.pool = nn.MaxPool2d(2, stride=2, return_indices=True)
        self.unpool = nn.MaxUnpool2d(2)
        self.head = nn.ConvTranspose2d(8, classes, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        size, f, kept = x.size(), self.stem(x), []
        for layer in self.down:
            f = layer(f)
            before = f.size()
            f, places = self.pool(f)
            kept.append((places, before))
        for layer in self.up:
            places, before = kept.pop()
            f = layer(self.unpool(f, places, output_size=before))
        return self.head(f, output_size=size)


class CrissCross(nn.Module):
    """CCNet: attention along the row and the column of each pixel, which counts itself once."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 8, 2), conv(8, 8, 2), conv(8, 8, 2))
        self.parts = nn.ModuleList([nn.Conv2d(8, 8, 1) for _ in range(3)])
        self.head = nn.Conv2d(8, classes, 1)

    def attended(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.size()
        columns = [part(x).permute(0, 3, 1, 2).reshape(batch * width, -1, height) for part in self.parts]
        rows = [part(x).permute(0, 2, 1, 3).reshape(batch * height, -1, width) for part in self.parts]
        itself = torch.diag(torch.tensor(float("inf")).repeat(height), 0)
        down = torch.bmm(columns[0].transpose(1, 2), columns[1]) - itself.repeat(batch * width, 1, 1)
        down = down.view(batch, width, height, height).transpose(1, 2)
        across = torch.bmm(rows[0].transpose(1, 2), rows[1]).view(batch, height, width, width)
        both = torch.cat([down, across], 3).softmax(3)
        down = both[..., :height].transpose(1, 2).reshape(batch * width, height, height)
        across = both[..., height:].reshape(batch * height, width, width)
        along = torch.bmm(columns[2], down.transpose(1, 2)).view(batch, width, -1, height).permute(0, 2, 3, 1)
        beside = torch.bmm(rows[2], across.transpose(1, 2)).view(batch, height, -1, width).transpose(1, 2)
        return x + (along + beside) / 2

    def forward(self, x: Tensor) -> Tensor:
        f = self.attended(self.attended(self.stem(x)))
        return F.interpolate(self.head(f), x.shape[2:], mode="bilinear", align_corners=True)
