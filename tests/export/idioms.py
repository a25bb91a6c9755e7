"""How networks compute with the size of their image: one small network for each idiom."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _NotInstalled:
    """A package's optional import, of which MONAI has many: whoever touches it gets an error."""

    def __getattr__(self, name: str) -> object:
        raise ImportError(f"No module for {name}")

    @property
    def __class__(self) -> type:
        raise RuntimeError("out of context")


OPTIONAL = _NotInstalled()


class Idiom(nn.Module):
    """A stem, a head, and logits of the image's size."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.head(self.inside(self.stem(x))), x.shape[-2:], mode="bilinear")

    def inside(self, f: Tensor) -> Tensor:
        raise NotImplementedError


class PoolsTheWholeMap(Idiom):
    def inside(self, f: Tensor) -> Tensor:
        return f * F.avg_pool2d(f, f.size()[2:]) + F.max_pool2d(f, kernel_size=f.shape[-2:])


class MaxPoolsToAGrid(Idiom):
    def inside(self, f: Tensor) -> Tensor:
        return f + F.interpolate(F.adaptive_max_pool2d(f, (3, 2)), f.shape[-2:], mode="nearest")


class PoolsToAComputedSize(Idiom):
    def inside(self, f: Tensor) -> Tensor:
        height, width = f.shape[-2:]
        low = F.adaptive_avg_pool2d(f, (height // 2, width // 3))
        return f + F.interpolate(low, (height, width), mode="bilinear")


class CountsWithPython(Idiom):
    """int, float, round, math and numpy on the size."""

    def inside(self, f: Tensor) -> Tensor:
        height, width = f.shape[-2:]
        rows = int(height / 2) + int(np.ceil(height / 3))
        columns = round(width * 0.5) + math.ceil(width / 4) + int(float(width) * 0.1)
        assert isinstance(rows, int)
        rows, columns = math.floor(rows) + round(height // 9), math.ceil(columns)  # whole already
        return f + F.interpolate(F.adaptive_avg_pool2d(f, (rows, columns)), (height, width), mode="bilinear")


class DecidesByItsBuffers(Idiom):
    """Branches and numbers by the values of its own tensors; a check of the image; the batch by len."""

    def __init__(self):
        super().__init__()
        self.register_buffer("probabilities", torch.tensor([0.0, 1.0]))
        self.active = torch.tensor([[0, 1], [1, 1]])  # no buffer
        self.steps = nn.Parameter(torch.tensor(2.6))

    def inside(self, f: Tensor) -> Tensor:
        torch._check_tensor_all(f.isfinite())
        for index in range(len(self.probabilities)):
            if self.probabilities[index] > 0.5:
                f = 2 * f
        for row in self.active.data:
            for number, active in enumerate(row.unbind()):
                if active:
                    f = f - number / 2
        if self.steps + self.probabilities.sum() > 3:
            f = f + int(self.steps.round())
        return f + torch.arange(len(f)).view(-1, 1, 1, 1)


class Coordinates(Idiom):
    """Channels of positions, and their square root for the size."""

    def inside(self, f: Tensor) -> Tensor:
        height, width = f.shape[-2:]
        rows = torch.linspace(-1, 1, height)[:, None].expand(height, width)
        columns = torch.linspace(0, 2, steps=width)[None].expand(height, width) / math.sqrt(width)
        return f + rows + columns


class Positions(Idiom):
    """Learned positions, resized as vision transformers do: bicubic, by a factor computed from the size."""

    def __init__(self, *, antialias: bool) -> None:
        super().__init__()
        self.antialias = antialias
        self.table = nn.Parameter(torch.randn(1, 4, 8, 8))

    def inside(self, f: Tensor) -> Tensor:
        height, width = f.shape[-2:]
        factor = (float(height + 0.1) / 8, float(width + 0.1) / 8)
        return f + F.interpolate(self.table, scale_factor=factor, mode="bicubic", antialias=self.antialias)


class AntialiasedDown(Idiom):
    def inside(self, f: Tensor) -> Tensor:
        height, width = f.shape[-2:]
        low = F.interpolate(f, (height // 3, width // 3), mode="bilinear", antialias=True)
        return F.interpolate(low, (height, width), mode="bicubic", align_corners=True)


class Patches(Idiom):
    """unfold and fold, in patches of 4 that overlap by 2."""

    def inside(self, f: Tensor) -> Tensor:
        patches = F.unfold(f, 4, stride=2, padding=1)
        return F.fold(patches.relu(), f.shape[-2:], 4, stride=2, padding=1)


class Deviation(Idiom):
    def inside(self, f: Tensor) -> Tensor:
        return (f - f.mean((2, 3), keepdim=True)) / (f.std(dim=(2, 3), keepdim=True) + f.var(1, keepdim=True))


class TransposedToASize(Idiom):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(4, 4, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1)

    def inside(self, f: Tensor) -> Tensor:
        return f + self.up(self.down(f), output_size=f.shape[-2:])


class PadsByComputedAmounts(Idiom):
    def inside(self, f: Tensor) -> Tensor:
        down, right = -f.shape[-2] % 7, -f.shape[-1] % 7
        padded = F.pad(f, (0, right, 0, down), mode="replicate")
        return (
            F.avg_pool2d(padded, 7)
            .repeat_interleave(7, 2)
            .repeat_interleave(7, 3)[..., : f.shape[-2], : f.shape[-1]]
        )


class GroupNormed(Idiom):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(2, 4)

    def inside(self, f: Tensor) -> Tensor:
        return self.norm(f + 3)


class RelativePositions(Idiom):
    """Attention over a grid with a bias for each offset, whose table is interpolated to the grid."""

    def __init__(self, patch: int = 4) -> None:
        super().__init__()
        self.patch = nn.Conv2d(4, 8, patch, stride=patch)
        self.table = nn.Parameter(torch.randn(7 * 7, 2))
        self.back = nn.Conv2d(8, 4, 1)

    def inside(self, f: Tensor) -> Tensor:
        grid = self.patch(f)
        batch, channels, height, width = grid.shape
        table = self.table.reshape(1, 7, 7, 2).permute(0, 3, 1, 2)
        size = (int(2 * height - 1), int(2 * width - 1))
        table = F.interpolate(table, size=size, mode="bilinear").flatten(2)[0].t()
        places = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))
        offset = places.flatten(1)[:, :, None] - places.flatten(1)[:, None, :]
        index = (offset[0] + height - 1) * (2 * width - 1) + offset[1] + width - 1
        bias = table[index.reshape(-1)].reshape(height * width, height * width, 2).permute(2, 0, 1)
        heads = grid.reshape(batch, 2, channels // 2, height * width).transpose(2, 3)
        weights = (heads @ heads.transpose(2, 3) / 2 + bias).softmax(-1)
        grid = (weights @ heads).transpose(2, 3).reshape(batch, channels, height, width)
        return f + F.interpolate(self.back(grid), f.shape[-2:], mode="bilinear")


class PositionsOfRowsAndColumns(Idiom):
    """Relative positions of rows and of columns apart, as SAM, ViTDet and MViT add them to attention."""

    def __init__(self, pool: int = 4) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(9, 4))
        self.pool = pool

    def inside(self, f: Tensor) -> Tensor:
        grid = F.max_pool2d(f, self.pool).permute(0, 2, 3, 1)
        batch, height, width, channels = grid.shape
        flat = grid.reshape(batch, height * width, channels)
        weights = (flat @ flat.transpose(1, 2)).view(batch, height, width, height, width)
        rows = torch.einsum("bhwc,hkc->bhwk", grid, self.between(height, height))
        columns = torch.einsum("bhwc,wkc->bhwk", grid, self.between(width, width))
        weights = (weights + rows[..., :, None] + columns[..., None, :]).view(batch, height * width, -1)
        seen = (weights.softmax(-1) @ flat).reshape(grid.shape).permute(0, 3, 1, 2)
        return f + F.interpolate(seen, f.shape[-2:])

    def between(self, queries: int, keys: int) -> Tensor:
        count = int(2 * max(queries, keys) - 1)
        table = self.table.t()[None]
        table = F.interpolate(table, size=count, mode="linear")[0].t()
        query = torch.arange(queries)[:, None] * max(keys / queries, 1.0)
        key = torch.arange(keys)[None] * max(queries / keys, 1.0)
        return table[(query - key + (keys - 1) * max(queries / keys, 1.0)).long()]


class CalculatesWithFractions(Idiom):
    """Whole numbers and maps, with fractions of a size on either side; a scale of attention made of it."""

    def inside(self, f: Tensor) -> Tensor:
        height, width = f.shape[-2:]
        part, index = height / 7, torch.arange(width)
        wave = index * part - index / part + (part - index) + height % (index + 1)
        power = f.abs() ** (1 / height) + (index / width) ** part + (index + 0.5) % part
        turned = F.scaled_dot_product_attention(f, f, f, scale=math.log(height) / width)
        f = f * math.log(height * width, 512) + math.exp(-height / 50) * np.log2(width) + math.pow(width, 0.3)
        return f + (wave + (index - part)) / width**2 + power + turned


class AttendsWithOtherAxes(Idiom):
    """Attention of images without heads, and of groups of windows with a mask for each head."""

    def __init__(self) -> None:
        super().__init__()
        self.mask = nn.Parameter(torch.randn(2, 1, 2))

    def inside(self, f: Tensor) -> Tensor:
        batch, channels, height, width = f.shape
        flat = F.avg_pool2d(f, 4).flatten(2).transpose(1, 2)
        pooled = F.scaled_dot_product_attention(flat, flat, flat).mean(1)
        rows = f[:, :, : height // 2 * 2].reshape(batch, 2, channels // 2, height // 2, 2, width)
        rows = rows.permute(0, 3, 1, 4, 5, 2).flatten(3, 4)[
            ..., :2, :
        ]  # batch, rows, heads, tokens, channels
        seen = F.scaled_dot_product_attention(rows, rows, rows, attn_mask=self.mask)
        return f + pooled[..., None, None] + seen.mean((1, 3)).flatten(1)[..., None, None]


class Windows(Idiom):
    """Shifted windows: padded to whole windows, with a mask made of the sizes."""

    WINDOW = 4

    def inside(self, f: Tensor) -> Tensor:
        window, shift = self.WINDOW, self.WINDOW // 2
        batch, channels, height, width = f.shape
        f = F.pad(f, (0, -width % window, 0, -height % window))
        high, wide = f.shape[-2:]
        mask = torch.zeros(1, 1, high, wide)
        regions = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
        for number, (rows, columns) in enumerate((r, c) for r in regions for c in regions):
            mask[:, :, rows, columns] = number
        parts = self.parts(torch.roll(f, (-shift, -shift), (2, 3)))
        region = self.parts(mask)[..., 0]
        apart = (region[:, None, :] != region[:, :, None]) * -100.0
        weights = parts @ parts.transpose(1, 2)
        count = apart.shape[0]
        weights = weights.reshape(batch, count, window**2, window**2) + apart[None]
        parts = weights.reshape(-1, window**2, window**2).softmax(-1) @ parts
        parts = parts.reshape(batch, high // window, wide // window, window, window, channels)
        whole = parts.permute(0, 5, 1, 3, 2, 4).reshape(batch, channels, high, wide)
        return torch.roll(whole, (shift, shift), (2, 3))[..., :height, :width]

    def parts(self, f: Tensor) -> Tensor:
        batch, channels, height, width = f.shape
        window = self.WINDOW
        f = f.reshape(batch, channels, height // window, window, width // window, window)
        return f.permute(0, 2, 4, 3, 5, 1).reshape(-1, window**2, channels)


class WindowsInStages(Idiom):
    """Windows of 7 at three stages, halved with odd maps padded: remainders of remainders of the size."""

    WINDOW = 7

    def __init__(self) -> None:
        super().__init__()
        self.merges = nn.ModuleList([nn.Linear(16, 4) for _ in range(3)])

    def inside(self, f: Tensor) -> Tensor:
        size = f.shape[-2:]
        f = f.permute(0, 2, 3, 1)
        for merge in self.merges:
            _, height, width, _ = f.shape
            right, down = ((self.WINDOW - side % self.WINDOW) % self.WINDOW for side in (width, height))
            f = self.attend(F.pad(f, (0, 0, 0, right, 0, down)))[:, :height, :width].contiguous()
            if height % 2 == 1 or width % 2 == 1:
                f = F.pad(f, (0, 0, 0, width % 2, 0, height % 2))
            quarters = [f[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
            f = merge(torch.cat(quarters, -1))
        return F.interpolate(f.permute(0, 3, 1, 2), size, mode="bilinear")

    def attend(self, f: Tensor) -> Tensor:
        batch, height, width, channels = f.shape
        side = self.WINDOW
        parts = f.view(batch, height // side, side, width // side, side, channels).transpose(2, 3)
        parts = parts.contiguous().view(-1, side * side, channels)
        parts = (parts @ parts.transpose(1, 2)).softmax(-1) @ parts
        parts = parts.view(-1, height // side, width // side, side, side, channels).transpose(2, 3)
        return parts.contiguous().view(-1, height, width, channels)


class KeepsItsFirstGrid(Idiom):
    """A grid of columns that is made for the first image, and kept for all others that are not wider."""

    def __init__(self) -> None:
        super().__init__()
        self.grid = None
        self.seen = 0

    def inside(self, f: Tensor) -> Tensor:
        if self.grid is None or self.seen < f.shape[-1]:
            self.grid = torch.arange(f.shape[-1]) / f.shape[-1]
            self.seen = f.shape[-1]
        return f + self.grid[: f.shape[-1]]


class Deep(nn.Module):
    """Attention at a 32nd of the size, with keys at a 64th, where small images have one pixel left."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 32, stride=32)
        self.keys = nn.Conv2d(8, 8, 2, stride=2)
        self.head = nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        f = self.down(x)
        queries, keys = f.flatten(2).transpose(1, 2), self.keys(f).flatten(2)
        mixed = (queries @ keys).softmax(-1) @ keys.transpose(1, 2)
        f = f + mixed.transpose(1, 2).reshape(f.shape)
        return F.interpolate(self.head(f), x.shape[-2:], mode="bilinear")


class SizesAsTensors(Idiom):
    """Sizes made to tensors, as deformable attention normalizes its offsets."""

    def inside(self, f: Tensor) -> Tensor:
        height, width = f.shape[-2:]
        shapes = torch.as_tensor([(height, width), (height // 2, width // 2)], dtype=torch.long)
        ratio = shapes[..., 1].sum() / shapes[..., 0].sum()
        return f * ratio + f.new_tensor([height, width]).sum() / torch.asarray([height * 2, width])[0]


class CountsItsPixels(Idiom):
    """Pixels and entries, as shapes count them and as numpy does."""

    def inside(self, f: Tensor) -> Tensor:
        pixels = f.shape[-2:].numel()
        entries = f.shape.numel() / f.size(0) + torch.Size([f.shape[2], 3]).numel() + math.isqrt(f[0].numel())
        half = np.ceil(np.array(f.shape[2:]) / 2).astype(int)
        grid = F.adaptive_avg_pool2d(f, (half[0], np.maximum(half[1], 3)))
        sides = torch.from_numpy(np.array(f.shape[2:]) / 2).to(f) + torch._shape_as_tensor(f)[2:]
        f = f * f.sum((2, 3), keepdim=True) / pixels + sides.sum() / entries
        return f + F.interpolate(grid, f.shape[2:], mode="bilinear")


class AsksForTypes(Idiom):
    """Types of numbers, as they are compared and as tensors have them."""

    def inside(self, f: Tensor) -> Tensor:
        side = f.shape[2]
        whole, half = type(side) is int, type(side / 2) in (float, tuple)
        scale = 2 if whole and half and type([side]) is list else 3
        index = torch.arange(side, dtype=float) + torch.zeros(1, dtype=int) + torch.tensor([side], dtype=int)
        return f * scale + index.to(f)[None, None, :, None] / f.to(int).to(float).to(f).abs().amax().add(side)


class PoolsStrips(Idiom):
    """Kernels as high or as wide as the map, and adaptive pooling that keeps a side."""

    def inside(self, f: Tensor) -> Tensor:
        height, width = f.shape[2:]
        rows = F.avg_pool2d(f, (1, width)) + F.max_pool2d(f, kernel_size=(1, width), stride=1)
        columns = F.avg_pool2d(f, (height, 1), stride=(height, 1)) + F.adaptive_max_pool2d(f, (1, None))
        return f + rows * columns


class PoolsByParts(Idiom):
    """Pyramids whose kernels are parts of the map, as PSPNet, ICNet and SPP compute them."""

    def inside(self, f: Tensor) -> Tensor:
        size = height, width = f.shape[2:]
        low = []
        for parts in (3, 1):
            kernel = (int(height / parts), int(width / parts))
            low.append(F.avg_pool2d(f, kernel, stride=kernel, padding=0))
        kernel = (math.ceil(height / 2), math.ceil(width / 2))
        padding = tuple((2 * k - side + 1) // 2 for k, side in zip(kernel, size, strict=True))
        low.append(F.avg_pool2d(f, kernel, kernel, padding, count_include_pad=False))
        low.append(F.max_pool2d(f, (height // 3, 1), (height // 5, 1), ceil_mode=True))
        low.append(F.avg_pool2d(f, width // 4, width // 6, ceil_mode=True, divisor_override=7))
        return f + sum(F.interpolate(part, size, mode="bilinear") for part in low)


class PoolsItsRows(Idiom):
    """Rows of pixels pooled as a whole, and maxima by an odd kernel that is a part of the map."""

    def inside(self, f: Tensor) -> Tensor:
        pixels, odd = f.flatten(2), f.shape[3] // 8 * 2 + 1
        whole = F.avg_pool1d(pixels, pixels.shape[2]) + torch.max_pool1d(pixels, pixels.shape[2])
        return whole[..., None] + torch.max_pool2d(f, (1, odd), 1, (0, odd // 2))


class PoolsWithPlaces(Idiom):
    """Asks for the places of maxima of a part of the map."""

    def inside(self, f: Tensor) -> Tensor:
        _, places = F.max_pool2d(f, f.shape[2] // 4, return_indices=True)
        return f + places.sum((2, 3), keepdim=True)


class ReadsSizesFromTensors(Idiom):
    """Sizes made to tensors, and the numbers computed there made to sizes."""

    def inside(self, f: Tensor) -> Tensor:
        half = int(torch.tensor(f.shape[2]).float() / 2)
        rows, columns = torch.as_tensor(f.shape[2:]) // 2
        scale = torch.tensor([0.5, 0.25])
        f = f + F.interpolate(F.interpolate(f, (half, int(columns))), f.shape[2:]) / float(rows)
        for factor in scale:
            f = f + F.interpolate(F.interpolate(f, scale_factor=float(factor)), f.shape[2:])
        return f + torch.arange(torch.tensor(f.shape[3]).item()) / torch.tensor(f.shape[2:]).prod().item()


class ComputesByMath(Idiom):
    """Logarithms, waves and powers of the size, by math and by numpy."""

    def inside(self, f: Tensor) -> Tensor:
        height, width = f.shape[2:]
        levels = int(math.log2(height)) + math.ceil(math.log(width, 3))
        wave = math.cos(math.pi * height / 64) + np.sin(width / 10) + math.tanh(width / 90)
        rest = math.fmod(height, 7) + np.floor_divide(width, 3) + round(width * 0.3) + np.around(height / 3)
        size = math.hypot(height, width) + math.exp(-height / 50) + np.log10(width) + math.pow(height, 0.3)
        padded = F.pad(f, (0, 2 ** math.ceil(math.log2(width)) - width))
        return f * levels + padded.sum(3, keepdim=True) / wave + rest / size


class SizesByOldTypes(Idiom):
    """Sizes as tensors of the types that code before PyTorch 0.4 calls."""

    def inside(self, f: Tensor) -> Tensor:
        height, width = f.shape[2:]
        norm = torch.Tensor([[[width, height]]]).type_as(f).sum() + torch.FloatTensor((height, width))[1]
        whole = torch.LongTensor([width, height])[0] + f.new([height, width]).sum()
        grid = torch.FloatTensor(height, width).fill_(2.0) + f.new(height, width).fill_(1.0)
        return f / norm + grid / whole * isinstance(f, torch.Tensor)


class GridsOfNumpy(Idiom):
    """Coordinates as numpy makes them: counted, divided, meshed, repeated, written into an array."""

    def inside(self, f: Tensor) -> Tensor:
        height, width = f.shape[2:]
        x, y = np.meshgrid(np.linspace(-1, 1, width), np.arange(height) / (height - 1) * 2 - 1)
        rows, columns = np.mgrid[0:height, 0:width]
        grid = np.zeros((3, height, width), dtype=np.float32)
        grid[0] = np.tile(np.linspace(0, 1, width, endpoint=False), (height, 1))
        grid[1] = np.repeat(np.arange(height).reshape(-1, 1), width, axis=1) / np.max(f.shape[2:])
        grid[2] = (rows % 7 + np.array([[0.5]]) * columns).astype(np.float32) * width**-1
        f = f + torch.from_numpy(grid).sum(0) + torch.Tensor(x) * torch.tensor(y).float()
        return f * torch.from_numpy(np.hanning(width).astype(np.float32)) + len(np.arange(width))


class WavesOfNumpy(Idiom):
    """Sines and cosines of positions, as masked autoencoders have them; sizes with numpy's types."""

    def inside(self, f: Tensor) -> Tensor:
        height, width = f.shape[2:]
        grid = np.stack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)))
        omega = 1.0 / 10000 ** np.arange(1, dtype=float)
        waves = [np.einsum("m,d->md", part.reshape(-1), omega) for part in grid.reshape(2, 1, height, width)]
        table = np.concatenate([g(wave) for wave in waves for g in (np.sin, np.cos)], axis=1)
        low = F.adaptive_avg_pool2d(f, (np.ceil(height / 3).astype(int), 3))
        f = f + torch.from_numpy(table).float().t().reshape(1, 4, height, width)
        gauss = np.exp(-((np.arange(width, dtype=np.float32) - width / 2) ** 2) / 200)
        rows = np.vstack([gauss / (gauss.max() + 1e-6), np.clip(np.arange(width)[::-1], 3, 20)])
        f = f + torch.from_numpy(rows).float().sum(0)
        return f + F.interpolate(low, (height, width), mode="bilinear")


class CommonDivisor(Idiom):
    """A function of Python's whole numbers, of which no graph holds the like."""

    def inside(self, f: Tensor) -> Tensor:
        return f * math.gcd(f.shape[2], f.shape[3])


class RepeatsByItsHeight(Idiom):
    """Steps as many as the image has rows, which no graph holds."""

    def forward(self, x: Tensor) -> Tensor:
        steps = list(range(x.shape[2]))
        return super().forward(x) * len(steps)

    def inside(self, f: Tensor) -> Tensor:
        return f


class WritesByMasks(Idiom):
    """Values where a mask holds, which is nowhere for the second one, as masked attention has them."""

    def inside(self, f: Tensor) -> Tensor:
        f = f.clone()
        f[f > 0.5] = 0.25
        mask = f.sigmoid() < 0.45
        mask[torch.where(mask.flatten(2).sum(-1) < 0)] = False
        return f * torch.where(mask, mask.flip(1), ~mask).masked_fill(f > 0.2, True)


class CropsByNegativePads(Idiom):
    """Doubled maps that are larger than what they are joined with: pads of -1, split by Python's halves."""

    def inside(self, f: Tensor) -> Tensor:
        up = F.interpolate(f[:, :, ::2, ::2], scale_factor=2.0)
        down, right = (f.shape[axis] - up.shape[axis] for axis in (2, 3))
        return f + F.pad(up, (right // 2, right - right // 2, down // 2, down - down // 2))


class CountsFromAHalf(Idiom):
    """Centers of pixels, as rotary positions take them: counted from 0.5."""

    def inside(self, f: Tensor) -> Tensor:
        height, width = f.shape[-2:]
        rows, columns = (torch.arange(0.5, side, dtype=torch.float32) / side for side in (height, width))
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).flatten(0, 1)
        wave = torch.sin(3 * grid[:, None, :] * torch.tensor([1.0, 2.0])[:, None]).flatten(1)
        return f + wave.t().reshape(1, 4, height, width) + torch.arange(0, 1, 1 / width)[:width].mean()


class Fourier(Idiom):
    """Filters the frequencies of the map, and mixes those of its channels."""

    def inside(self, f: Tensor) -> Tensor:
        waves = torch.fft.rfft2(f, norm="ortho")
        waves = torch.complex(waves.real.relu(), waves.imag * 0.5)
        whole = torch.fft.ifft2(torch.fft.fft2(f)).real
        return torch.fft.irfftn(waves, s=f.shape[-2:], dim=(-2, -1), norm="ortho") + whole


class TurnsByAGrid(Idiom):
    """Turned by a matrix of its own, as spatial transformers do."""

    def inside(self, f: Tensor) -> Tensor:
        theta = torch.eye(2, 3) + f.mean((2, 3)).reshape(-1, 2, 2).sum(2, keepdim=True) / 10
        turned = [
            F.grid_sample(
                f, F.affine_grid(theta, list(f.size()), align_corners=corners), align_corners=corners
            )
            for corners in (False, True)
        ]
        return turned[0] + turned[1]


class NearestToComputedSizes(Idiom):
    """Maps resized by nearest neighbors to parts of their size, and back."""

    def inside(self, f: Tensor) -> Tensor:
        height, width = f.shape[2:]
        small = F.interpolate(f, (height // 3 + 1, width // 2 + 1))
        exact = F.interpolate(f, (height // 2 + 1, width // 5 + 2), mode="nearest-exact")
        f = f + F.interpolate(small, (height, width)) + F.interpolate(f, (15, 50)).mean((2, 3), keepdim=True)
        return f + F.interpolate(exact, (height, width), mode="nearest-exact")


class KeepsGridsBySize(Idiom):
    """Grids kept by height and width, in a dict and by functools; sides by divmod."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[int, int], Tensor] = {}

    @functools.lru_cache(maxsize=4)  # noqa: B019 (as it is written)
    def rows(self, height: int) -> Tensor:
        return torch.arange(height)[:, None] / height

    def inside(self, f: Tensor) -> Tensor:
        height, width = f.shape[2:]
        if (height, width) not in self.kept:
            self.kept[height, width] = torch.linspace(-1, 1, width).repeat(height, 1)
        quarter, rest = divmod(width, 4)
        small = F.interpolate(f, (height, quarter + rest))
        half = np.array(f.shape[2:]) // 2 + 1
        small = small + F.interpolate(f, tuple(half.tolist())).mean()
        return (
            f
            + self.kept[height, width]
            + self.rows(height)
            + columns(width)
            + small.mean((2, 3), keepdim=True)
        )


@functools.lru_cache
def columns(width: int) -> Tensor:
    return torch.arange(width) / width


class KernelsOfItsOwn(Idiom):
    """A kernel for each image and channel, computed from it: as many groups as these."""

    def inside(self, f: Tensor) -> Tensor:
        batch, channels, height, width = f.shape
        kernels = F.adaptive_avg_pool2d(f, 3).reshape(batch * channels, 1, 3, 3)
        maps = F.pad(f.reshape(1, batch * channels, height, width), (1, 1, 1, 1))
        maps = F.conv2d(maps, kernels, groups=batch * channels).view(batch, channels, height, width)
        mixed = F.adaptive_avg_pool2d(f, 2).reshape(batch, 4, 4, 1, 1).repeat(1, 1, 1, 3, 3).flatten(0, 1)
        whole = F.conv2d(f.reshape(1, -1, height, width), mixed, stride=2, padding=1, groups=batch)
        return maps + whole.view(batch, 4, *whole.shape[2:]).mean((2, 3), keepdim=True)


class Recurrent(Idiom):
    """A recurrent layer along the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.GRU(4, 4, batch_first=True)

    def inside(self, f: Tensor) -> Tensor:
        batch, channels, height, width = f.shape
        rows = f.permute(0, 2, 3, 1).reshape(batch * height, width, channels)
        return self.rows(rows)[0].reshape(batch, height, width, channels).permute(0, 3, 1, 2)


class FreezesSmallMaps(Idiom):
    """Traced with fewer than 200 columns their number is frozen, and no condition tells so."""

    def inside(self, f: Tensor) -> Tensor:
        width = f.shape[-1]
        if hasattr(width, "node") and width.node.hint < 200:
            width = width.node.hint
        return f * (width / 100)


class OtherwiseIfTraced(Idiom):
    """Computes something else while it is traced."""

    def inside(self, f: Tensor) -> Tensor:
        return f * (2 if hasattr(f.shape[-1], "node") else 3)


class Resizer(nn.Module):
    """A module to be scripted: it computes with sizes, and has a constant and a function of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.factor = 2

    def half(self, side: int) -> int:
        return side // self.factor

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2], x.shape[3]
        y = F.interpolate(self.conv(x), size=[self.half(height), self.half(width)], mode="nearest")
        return F.interpolate(y, size=[height, width], mode="bilinear", align_corners=False)


@torch.jit.script
def gated(x: Tensor) -> Tensor:
    return x * x.sigmoid()


class HasScriptedParts(Idiom):
    """A scripted module and a scripted function inside of ordinary code."""

    def __init__(self) -> None:
        super().__init__()
        self.part = torch.jit.script(Resizer())

    def inside(self, f: Tensor) -> Tensor:
        return gated(self.part(f))


class LeavesOutPartialPatches(nn.Module):
    """Whole patches of 14 pixels alone: the scores of 96 pixels are of 84."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 3, 14, stride=14)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.patch(x), scale_factor=14.0, mode="bilinear")


class CentersIfEven(nn.Module):
    """Another kernel at each parity of the height, at every size."""

    def __init__(self) -> None:
        super().__init__()
        self.even = nn.Conv2d(3, 3, 3, padding=1)
        self.odd = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        odd = x.shape[-2] % 2 or x.shape[-1] % 2
        return self.odd(x) if odd else self.even(x)


class OneSize(nn.Module):
    """Absolute positions of a grid of 6 x 4 patches: 96 x 64 pixels alone."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 16, stride=16)
        self.positions = nn.Parameter(torch.randn(1, 8, 6, 4))
        self.head = nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.patch(x) + self.positions)
