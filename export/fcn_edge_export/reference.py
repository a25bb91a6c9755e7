"""The reference: PyTorch's logits for an image, by the formulas on the card.

    image --scale, mean, std--> normalized --edge padding--> network --upsample--> --crop--> logits

With a working size (h, w) of an image (H, W) it is

    x       the normalized image, F.interpolate(..., (h, w), mode="bilinear", antialias=True)
    z       the network's logits of x, edge-padded to its multiple and cut back to (h, w); with `coarse`, what
            the network's own last F.interpolate reads
    logits  F.interpolate(z, (H, W), mode="bilinear", align_corners=False)

The ONNX file is compared with this code, so it is written for clarity and runs in float32.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import inspect
import io
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized
from torch.overrides import TorchFunctionMode

from fcn_edge_export.full_precision import FullPrecision
from fcn_edge_export.mask_queries import SemanticMap
from fcn_edge_export.outputs import pick_output
from fcn_edge_export.sizes import Sizes
from fcn_edge_export.unchanging import Unchanging
from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.model.card import InputSpec, WorkingSize

__all__ = ["LogitsNetwork", "Reference", "ends_in_upsampling", "prepared", "weights_sha256"]


N = TypeVar("N", bound=nn.Module)
LEAST = 1e-6  # probabilities are kept this far from 0 and 1, where logits are infinite


class LogitsNetwork(nn.Module):
    """A network reduced to one output: logits of each class, at the size of its input.

    Logits that are smaller than the input by a whole factor are upsampled as in the papers: bilinear. So are
    larger ones resized.

    Args:
        net: the network.
        output: which of its outputs to take, see `outputs.choose_output`; empty for its only one.
        activation: what the network has already applied to its logits: "none", "sigmoid", "softmax" or
            "argmax". It is undone: logit(p), or log(p), whose softmax is p; labels are 1 for their class and
            0 for others.
        classes: that its labels are of, for "argmax".
        resize: whether the logits have another size than the input.
        grid: (n, r) of a network whose sides are k n + r; images are padded to the next such size, at the
            bottom and right, with their edge.
        crop: how many rows and columns its logits lack; images are padded on all sides by as many.
        border: what they are padded with then: "reflect" or "edge"; "unlabeled" pads the logits by 0 instead.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        output: str = "",
        activation: str = "none",
        classes: int | None = None,
        resize: bool = False,
        grid: tuple[int, int] | None = None,
        crop: int = 0,
        border: str = "edge",
    ) -> None:
        super().__init__()
        self.net = net
        self.output = output
        self.activation = activation
        self.resize = resize
        self.one_hot = classes if activation == "argmax" else None
        self.grid = grid
        self.crop = crop
        self.mode = "reflect" if border == "reflect" else "replicate"
        self.labels_border = border != "unlabeled"

    @classmethod
    def of(
        cls, net: nn.Module, found: Sizes, activation: str = "none", border: str = "edge"
    ) -> LogitsNetwork:
        """The network with what its probe found, in evaluation mode."""
        return cls(
            net,
            output=found.output,
            activation=activation,
            classes=found.classes,
            resize=found.reduction > 1 or found.enlargement > 1,
            grid=found.grid,
            crop=found.crop,
            border=border,
        ).eval()

    def forward(self, x: Tensor) -> Tensor:
        """Logits [batch, classes, height, width] of normalized pixels [batch, channels, height, width]."""
        height, width = x.shape[-2:]
        if self.grid is not None:
            (step, rest), crop = self.grid, self.crop if self.labels_border else 0
            before, behind = crop // 2, crop - crop // 2
            right, down = (behind + (rest - side - crop) % step for side in (width, height))
            x = F.pad(x, (before, right, before, down), mode=self.mode)
        with FullPrecision(), contextlib.redirect_stdout(io.StringIO()):  # a network may print what it does
            output = self.net(x)
        logits = pick_output(output, self.output, self.one_hot)
        if self.activation == "sigmoid":
            p = logits.clamp(LEAST, 1 - LEAST)
            logits = torch.log(p) - torch.log(1 - p)
        elif self.activation == "softmax":
            logits = torch.log(logits.clamp_min(LEAST))
        if self.resize:
            logits = F.interpolate(logits, size=x.shape[-2:], mode="bilinear", align_corners=False)
        if self.grid is None:
            return logits
        if self.labels_border:
            return logits[..., :height, :width]
        covered = logits[..., : height - self.crop, : width - self.crop]
        before, behind = self.crop // 2, self.crop - self.crop // 2
        return F.pad(covered, (before, behind, before, behind))


class _Upsamplings(TorchFunctionMode):
    """Records every call of F.interpolate while it is active: (result, arguments)."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Tensor, dict[str, Any]]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        result: Any = func(*args, **(kwargs or {}))
        if func is F.interpolate:
            given = inspect.signature(F.interpolate).bind(*args, **(kwargs or {})).arguments
            self.calls.append((result, given))
        return result


def _coarse(network: LogitsNetwork, x: Tensor) -> Tensor | None:
    """The input of the last upsampling, if it is a plain bilinear one that gives the logits; else None."""
    with _Upsamplings() as seen:
        final: Tensor = network(x)
    given = next((given for result, given in seen.calls if result is final), None)
    plain = given is not None and given.get("mode") == "bilinear"
    if given is None or not plain or given.get("align_corners") or given.get("antialias"):
        return None
    low: Tensor = given["input"]
    return low


def ends_in_upsampling(network: LogitsNetwork, channels: int, size: tuple[int, int]) -> bool:
    """Whether the logits of an image of (height, width) are the result of a plain bilinear upsampling."""
    with torch.inference_mode():
        return _coarse(network, torch.zeros(1, channels, *size)) is not None


def prepared(net: nn.Module) -> nn.Module:
    """The network in float32, on the CPU, in evaluation mode, unchanged by calls; a copy if it was not.

    Weights that are computed of others (`torch.nn.utils.parametrizations`) become what they are. Queries that
    classify masks become a map of scores.
    """
    tensors = [*net.parameters(), *(b for b in net.buffers() if b.is_floating_point())]
    missing = [name for name, tensor in net.named_parameters() if is_lazy(tensor)]
    computed = [m for m in net.modules() if is_parametrized(m)]  # weights that are computed of others
    ready = (
        not missing
        and not computed
        and not any(m.training for m in net.modules())
        and all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors)
    )
    if not ready:
        net = _copied(net)
        for name in missing:
            owner, _, parameter = name.rpartition(".")
            delattr(net.get_submodule(owner), parameter)  # of a layer that was never run: it has no shape
        net = net.eval()
        for module in [m for m in net.modules() if is_parametrized(m)]:
            _settle(module)
        net = net.to(device="cpu", dtype=torch.float32)
    return SemanticMap(Unchanging(net)).eval()


def _settle(module: nn.Module) -> None:
    """Make its parametrized weights plain ones. Torch's own way changes the class, which a copy shares."""
    names = [name for name, _ in cast("nn.ModuleDict", module.parametrizations).items()]
    values = {name: getattr(module, name).detach().clone() for name in names}
    del module.parametrizations
    module.__class__ = type(module).__bases__[0]
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value))


def _copied(net: N) -> N:
    """A copy; weights that `nn.utils.weight_norm` computed in an earlier call come without their history."""
    tensors = [t for module in net.modules() for t in vars(module).values() if isinstance(t, Tensor)]
    return copy.deepcopy(net, {id(t): t.detach().clone() for t in tensors if not t.is_leaf})


def weights_sha256(net: nn.Module) -> str:
    """SHA-256 over the name-sorted (name, dtype, shape, little-endian bytes) of the state dict."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        if is_lazy(tensor):
            continue
        digest.update(f"{name}|{str(tensor.dtype).removeprefix('torch.')}|{list(tensor.shape)}|".encode())
        # A byte view works for dtypes that numpy lacks (bfloat16); all platforms of torch are little-endian.
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    return digest.hexdigest()


@dataclass(frozen=True)
class Reference:
    """PyTorch's logits for an image.

    Attributes:
        network: in evaluation mode.
        spec: how pixels are normalized.
        multiple: the network's sizes are multiples of this; others are padded at the bottom and right.
        working: the size the network works at; None is the image's.
        dtype: in which the network computes.
    """

    network: LogitsNetwork
    spec: InputSpec
    multiple: int = 1
    working: WorkingSize | None = None
    dtype: torch.dtype = torch.float32

    def normalized(self, images: npt.NDArray[Any]) -> Tensor:
        """[batch, channels, H', W'] float32: normalized, at the working size, edge-padded to the multiple.

        `images` is (batch, height, width, channels) in the card's dtype.
        """
        values = np.ascontiguousarray(np.moveaxis(images, -1, 1)).astype(np.float32)
        mean = torch.tensor(self.spec.mean, dtype=torch.float32).view(1, -1, 1, 1)
        std = torch.tensor(self.spec.std, dtype=torch.float32).view(1, -1, 1, 1)
        x = (torch.from_numpy(values) * self.spec.scale - mean) / std
        if self.working is not None:
            size = self.working.of(*images.shape[1:3])
            x = F.interpolate(x, size=size, mode="bilinear", antialias=True)
        down, right = (-x.shape[-2] % self.multiple, -x.shape[-1] % self.multiple)
        return F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x

    def __call__(self, images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Logits (batch, classes, height, width) float32 for images (batch, height, width, channels)."""
        height, width = images.shape[1:3]
        with torch.inference_mode():
            x = self.normalized(images).to(self.dtype)
            if self.working is None:
                logits = self.network(x)[..., :height, :width]
            else:
                low = self._working_logits(self.working, x, images)
                logits = F.interpolate(low, size=(height, width), mode="bilinear", align_corners=False)
        return np.ascontiguousarray(logits.float().numpy())

    def in_float64(self, images: npt.NDArray[Any]) -> npt.NDArray[np.float32] | None:
        """The same logits computed in float64 from the same normalized pixels; None if the network cannot."""
        network = _copied(self.network).double()
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            return replace(self, network=network, dtype=torch.float64)(images)
        except (RuntimeError, TypeError, ValueError):  # such as a tensor inside that is always float32
            return None
        finally:
            torch.set_default_dtype(before)

    def _working_logits(self, working: WorkingSize, x: Tensor, images: npt.NDArray[Any]) -> Tensor:
        if not working.coarse:
            height, width = working.of(*images.shape[1:3])
            logits: Tensor = self.network(x)[..., :height, :width]
            return logits
        low = _coarse(self.network, x)
        if low is None:
            raise ArtifactError("verify: the network no longer ends in bilinear upsampling: export it again")
        return low
