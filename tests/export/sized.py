"""Networks that depend on the size of their input, or hide what they return: each in another way."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Sized(nn.Module):
    """Two convolutions to choose between, and a table of rows."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, classes, 3, padding=1)
        self.other = nn.Conv2d(3, classes, 1)
        self.table = nn.Parameter(torch.randn(64, classes))


class Height(Sized):
    def forward(self, x: Tensor) -> Tensor:
        return self.other(x) if x.shape[2] > 400 else self.one(x)


class Area(Sized):
    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        logits = self.one(x)
        if height * width > 400 * 400:
            logits = logits + self.other(x).mean((2, 3), keepdim=True)
        return logits


class HalfAbove(Sized):
    def forward(self, x: Tensor) -> Tensor:
        if max(x.shape[-2:]) <= 512:
            return self.one(x)
        small = F.interpolate(x, scale_factor=0.5, mode="bilinear")
        return F.interpolate(self.one(small), x.shape[-2:], mode="bilinear")


class Table(Sized):
    """A table of 64 rows at a quarter of the height: it ends at 259 pixels."""

    def forward(self, x: Tensor) -> Tensor:
        low = F.avg_pool2d(self.one(x), 4)
        low = low + self.table[: low.shape[2]].t()[None, :, :, None]
        return F.interpolate(low, x.shape[-2:], mode="bilinear")


class ShortTable(Table):
    """A table that ends at 163 pixels: the network fails at larger images."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(self.table[:40].detach())


class IndexedTable(Table):
    """A table of positions by their indices: no condition on the size, and PyTorch fails beyond its end."""

    def forward(self, x: Tensor) -> Tensor:
        low = F.avg_pool2d(self.one(x), 4)
        low = low + self.table[torch.arange(low.shape[2])].t()[None, :, :, None]
        return F.interpolate(low, x.shape[-2:], mode="bilinear")


class Heavy(Sized):
    """No condition on the size at all."""

    def forward(self, x: Tensor) -> Tensor:
        low = F.max_pool2d(self.one(x), 4, ceil_mode=True)
        return F.interpolate(low, x.shape[-2:], mode="bilinear")


class HiddenArea(Heavy):
    """Another branch for large areas, which it does not take while it is traced."""

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        if not torch.compiler.is_exporting() and x.shape[2] * x.shape[3] > 600 * 600:
            return logits + self.other(x)
        return logits


class HiddenFactor(Heavy):
    """The same operations for large areas, with another number."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = not torch.compiler.is_exporting() and x.shape[2] * x.shape[3] > 600 * 600
        return super().forward(x) * (-1.0 if hidden else 1.0)


class HiddenWeights(Heavy):
    """The same operations for large areas, with other weights."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__(classes)
        self.other = nn.Conv2d(3, classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = not torch.compiler.is_exporting() and x.shape[2] * x.shape[3] > 600 * 600
        return (self.other if hidden else self.one)(x)


class HiddenConstant(Heavy):
    """The same operations for large areas, with another constant."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = not torch.compiler.is_exporting() and x.shape[2] * x.shape[3] > 600 * 600
        return super().forward(x) * torch.tensor([-1.0 if hidden else 1.0])


class HiddenWidth(Heavy):
    """Another branch for wide images, which it does not take while it is traced."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = not torch.compiler.is_exporting() and x.shape[3] > 1000
        return self.other(x) if hidden else super().forward(x)


class LargeArea(Heavy):
    def forward(self, x: Tensor) -> Tensor:
        large = x.shape[2] * x.shape[3] > 1000 * 1000
        return self.other(x) if large else super().forward(x)


class Wide(Heavy):
    def forward(self, x: Tensor) -> Tensor:
        return self.other(x) if x.shape[3] > 1000 else super().forward(x)


class Cells(Heavy):
    """A table of 1024 cells of 32 x 32 pixels, in the order of their rows."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(1024, 4))

    def forward(self, x: Tensor) -> Tensor:
        low = F.avg_pool2d(self.one(x), 32, ceil_mode=True)
        height, width = low.shape[2:]
        cells = self.table[: height * width].t().reshape(1, 4, height, width)
        return F.interpolate(low + cells, x.shape[-2:], mode="bilinear")


class Columns(Heavy):
    """A table of 1024 columns, of which the last stands for all further ones."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(1024, 4))

    def forward(self, x: Tensor) -> Tensor:
        columns = torch.arange(x.shape[3]).clamp(max=1023)
        return super().forward(x) + self.table[columns].t()[None, :, None, :]


class HalfCoordinates(Heavy):
    """Coordinates in float16: the further down a pixel is, the more of its column is rounded away."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        positions = torch.arange(height).half()[:, None] + torch.arange(width).half() / 64
        return super().forward(x) * torch.sin(positions.float())


class Mean(Heavy):
    """A sum over the whole map."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) - 10 * x.mean((2, 3), keepdim=True).sum(1, keepdim=True)


class Batch(Sized):
    def forward(self, x: Tensor) -> Tensor:
        return self.other(x) if x.shape[0] > 2 else self.one(x)


class Parity(Sized):
    def forward(self, x: Tensor) -> Tensor:
        return self.other(x) if x.shape[2] % 2 == 0 else self.one(x)


class Aspect(Sized):
    def forward(self, x: Tensor) -> Tensor:
        return self.other(x) if x.shape[2] > x.shape[3] else self.one(x)


class Loop(Sized):
    def forward(self, x: Tensor) -> Tensor:
        logits = self.one(x)
        for _ in range(x.shape[2] // 64):
            logits = logits + 1
        return logits


class Between(Sized):
    """Another branch between two heights alone."""

    def forward(self, x: Tensor) -> Tensor:
        return self.other(x) if 500 < x.shape[2] < 600 else self.one(x)


class Band(Sized):
    """Another branch in one band of heights, which no size at its ends shows."""

    def forward(self, x: Tensor) -> Tensor:
        return self.other(x) if x.shape[2] // 100 == 5 else self.one(x)


class OneHeight(Sized):
    def forward(self, x: Tensor) -> Tensor:
        return self.other(x) if x.shape[2] == 777 else self.one(x)


class OneSum(Sized):
    def forward(self, x: Tensor) -> Tensor:
        return self.other(x) if x.shape[2] + x.shape[3] == 1000 else self.one(x)


class Small(Sized):
    """Another branch for small images, of the size that a network is traced at first."""

    def forward(self, x: Tensor) -> Tensor:
        return self.other(x) if min(x.shape[-2:]) < 200 else self.one(x)


class Far(Sized):
    """Another branch only beyond what can be verified."""

    def forward(self, x: Tensor) -> Tensor:
        return self.other(x) if x.shape[3] > 5000 else self.one(x)


class PadsWhereNeeded(Sized):
    """A condition that does not matter: padding by nothing is nothing."""

    def forward(self, x: Tensor) -> Tensor:
        height = x.shape[2]
        missing = (7 - height % 7) % 7
        if missing > 0:
            x = F.pad(x, (0, 0, 0, missing))
        return self.one(x)[:, :, :height]


class Scaled(Sized):
    """Works at a size that is a factor of the image's."""

    def __init__(self, mode: str, factor: float | tuple[float, float], *, align_corners: bool | None) -> None:
        super().__init__()
        self.resize = {"scale_factor": factor, "mode": mode, "align_corners": align_corners}

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.one(F.interpolate(x, **self.resize)), x.shape[-2:], mode="bilinear")


class CoarseGrid(nn.Module):
    """Logits of height // 16 * 4, as some transformers give: right just above a multiple of 16."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 16, stride=16)
        self.up = nn.ConvTranspose2d(4, 4, 4, stride=4)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.down(x))


class Several(nn.Module):
    """Returns the outputs it is configured for: features, logits, an auxiliary head, depth."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.features = nn.Conv2d(3, 16, 3, padding=1)
        self.head = nn.Conv2d(16, 4, 1)
        self.auxiliary = nn.Conv2d(16, 4, 1)
        self.depth = nn.Conv2d(16, 1, 1)

    def forward(self, x: Tensor) -> object:
        f = self.features(x)
        maps = {"f": f, "h": self.head(f), "a": self.auxiliary(f), "d": self.depth(f)}
        if self.form.startswith("{"):
            return {name: maps[name[0]] for name in self.form.strip("{}").split(",")}
        return tuple(maps[name] for name in self.form.split(","))


class Activated(nn.Module):
    """Ends in an activation that belongs into the loss."""

    def __init__(self, classes: int, activation: nn.Module) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, classes, 3, padding=1)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.head(x))


class PatchesOf14(nn.Module):
    """Patches of 14 pixels, and what is less than one is left out; each has so many logits a side."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 14, stride=14)
        self.head = nn.Conv2d(8, 4, 1)
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.head(self.patches(x)), scale_factor=float(self.side), mode="bilinear")
