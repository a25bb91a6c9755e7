"""One network in a process of its own: exported, and its file compared with PyTorch at twelve sizes.

    python -m benchmarks.networks.worker LIBRARY           the names of its networks
    python -m benchmarks.networks.worker LIBRARY NAME      what became of one

Either prints one line of JSON, the last of its output. The comparison is written apart from the exporter's
verdict, so that it can contradict it. Where the exporter refuses and its message proposes an option, that
option is used, as a reader of the message would.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib
import json
import re
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

SIZES = (
    (1, 33, 47),
    (1, 64, 96),
    (2, 97, 131),
    (1, 131, 97),
    (1, 224, 224),
    (2, 250, 330),
    (1, 257, 255),
    (1, 360, 480),
    (1, 481, 641),
    (1, 512, 512),
    (1, 720, 1280),
    (1, 1080, 1920),
)
LARGEST_ERROR = 1e-4  # of the amplitude of the logits
CHANGE = 1e-6  # of an image whose pixels are 0 to 1, to see how far PyTorch's own logits move
CHANGES = 3
PROPOSALS = re.compile(r"--(size-multiple|working-size|smallest|border)\s+(\d+(?:x\d+)?|reflect)")
TRIES = 3  # with an option that a message proposes


def main(library: str, name: str | None) -> None:
    """Print the names of a library's networks, or what became of one, as JSON."""
    module = importlib.import_module(f"benchmarks.networks.libraries.{library}")
    if name is None:
        found: dict[str, Any] = {"versions": module.VERSIONS, "names": list(module.NETWORKS)}
    else:
        torch.manual_seed(0)
        found = tried(module.NETWORKS[name]().eval())
        found["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(f"{json.dumps(found)}\n")


def tried(net: nn.Module) -> dict[str, Any]:
    """What became of a network: its `outcome` is right, wrong or refused."""
    import fcn_edge
    from fcn_edge_runtime.errors import FcnEdgeError

    options: dict[str, Any] = {}
    messages: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.onnx")
        card = fcn_edge.Card("net", (), fcn_edge.InputSpec.unit())
        while True:
            begun = time.process_time()
            try:
                chosen = fcn_edge.ExportOptions(outputs=("labels", "logits"), **options)
                fcn_edge.export(net, card, path, options=chosen)
            except FcnEdgeError as error:
                seconds = time.process_time() - begun
                messages.append(str(error))
                proposed = _proposed(str(error))
                if proposed.items() <= options.items() or len(messages) > TRIES:
                    return {
                        "outcome": "refused",
                        "seconds": seconds,
                        "why": messages[0],
                        "with": options,
                        "messages": messages,
                    }
                options |= proposed
            else:
                seconds = time.process_time() - begun
                return {"seconds": seconds, "with": options, "messages": messages, **_compared(net, path)}


def _proposed(message: str) -> dict[str, Any]:
    """The first option that a message says to add, as one of `ExportOptions`."""
    found = PROPOSALS.search(message)
    if found is None:
        return {}
    text = found[1] in ("working-size", "border")
    value: Any = found[2] if text else int(found[2].partition("x")[0])
    return {found[1].replace("-", "_"): value}


@dataclass(frozen=True)
class _Sizing:
    """How an image reaches the network, by the card of the file."""

    multiple: int
    working: Any
    border: str

    @classmethod
    def of(cls, card: Any) -> _Sizing:
        multiple = card.geometry.size_multiple if card.geometry else 1
        return cls(multiple, card.working_size, card.net.border)

    def padded(self, net: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, int]:
        """What the network is given, and how many rows fewer it returns."""
        if self.border == "none":
            down, right = (-side % self.multiple for side in x.shape[-2:])
            return F.pad(x, (0, right, 0, down), mode="replicate"), 0
        step, rest, crop = _lattice(net)
        before = crop // 2
        down, right = (crop - before + (rest - side - crop) % step for side in x.shape[-2:])
        mode = "reflect" if self.border == "reflect" else "replicate"
        return F.pad(x, (before, right, before, down), mode=mode), crop


@functools.cache
def _lattice(net: nn.Module) -> tuple[int, int, int]:
    """Sides k * step + rest, at which logits lack the fewest rows, and how many they lack."""
    lacking = {}
    with torch.inference_mode():
        for side in range(64, 128):
            with contextlib.suppress(Exception):  # a network may raise anything at a size it does not take
                lacking[side] = side - _logits(net(torch.zeros(1, 3, side, side)), (side, side)).shape[-1]
    least = min(lacking.values(), default=0)
    sides = [side for side in lacking if lacking[side] == least]
    if len(sides) < 2:  # no lattice
        return 1, 0, 0
    step = sides[1] - sides[0]
    return step, sides[0] % step, least


def _compared(net: nn.Module, path: Path) -> dict[str, Any]:
    import onnxruntime

    import fcn_edge

    with fcn_edge.Segmenter(path) as segmenter:
        card = segmenter.card
    threads = onnxruntime.SessionOptions()
    threads.intra_op_num_threads = torch.get_num_threads()  # its own would spin beside other programs
    session = onnxruntime.InferenceSession(path, threads, providers=["CPUExecutionProvider"])
    smallest, largest = (
        (card.geometry.smallest_size, card.geometry.largest_size) if card.geometry else (1, None)
    )
    sizing = _Sizing.of(card)
    worst = 0.0
    right: list[str] = []
    bad: list[str] = []
    failed: list[str] = []
    unstable: list[str] = []
    for size in SIZES:
        batch, height, width = size
        within = largest is None or (height <= largest[0] and width <= largest[1])
        if min(height, width) < smallest or not within:
            continue
        image = _image(batch, height, width)
        expected = _pytorch(net, image, sizing)
        if expected is None and sizing.multiple == 1:  # its sides may be k n + r, to which the file pads
            sizing = replace(sizing, border="edge")
            expected = _pytorch(net, image, sizing)
        if expected is None:
            failed.append(f"{height}x{width}")
            continue
        labels, logits = session.run(["labels", "logits"], {"image": image})
        error = _error(logits, expected)
        if error > LARGEST_ERROR and (exact := _in_float64(net, image, sizing)) is not None:
            error = min(error, _error(logits, exact))  # PyTorch's own float32 is the one that is off
        if error > LARGEST_ERROR and error <= 2 * _movement(net, image, sizing, expected):
            unstable.append(f"{height}x{width}")
            continue
        worst = max(worst, error)
        largest_logit = logits.argmax(1) if logits.shape[1] > 1 else logits[:, 0] > 0
        good = error <= LARGEST_ERROR and np.array_equal(labels, largest_logit)
        (right if good else bad).append(f"{height}x{width}")
    return {
        "outcome": "wrong" if bad or not right else "right",
        "right": right,
        "bad": bad,
        "not_in_pytorch": failed,
        "unstable": unstable,
        "error": worst,
        "smallest": smallest,
        "largest": list(largest) if largest else None,
        "multiple": sizing.multiple,
    }


def _error(logits: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """The largest difference, as a share of the amplitude."""
    centered = expected - expected.mean(1, keepdims=True) if expected.shape[1] > 1 else expected
    amplitude = np.abs(centered).max()
    return float(np.abs(logits - expected).max() / max(amplitude, 1e-30))


def _movement(
    net: nn.Module, image: npt.NDArray[np.uint8], sizing: _Sizing, expected: npt.NDArray[Any]
) -> float:
    """How far PyTorch's own logits move when the image changes in its last digits: no file can be closer."""
    moved = (_pytorch(net, image, sizing, change=seed) for seed in range(1, CHANGES + 1))
    return max((_error(logits, expected) for logits in moved if logits is not None), default=0.0)


def _in_float64(net: nn.Module, image: npt.NDArray[np.uint8], sizing: _Sizing) -> npt.NDArray[Any] | None:
    """PyTorch's logits in float64: where it adds up a whole map (norms), its float32 loses digits."""
    torch.set_default_dtype(torch.float64)
    try:
        return _pytorch(copy.deepcopy(net).double(), image, sizing, torch.float64)
    finally:
        torch.set_default_dtype(torch.float32)


def _image(batch: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Random blocks of 8x8 pixels."""
    generator = np.random.default_rng(height)
    blocks = generator.integers(0, 256, (batch, -(-height // 8), -(-width // 8), 3), np.uint8)
    return blocks.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]


class _LastResize(TorchFunctionMode):
    """Remembers what F.interpolate read and returned last."""

    read: Any = None
    returned: Any = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        if func is F.interpolate:
            self.read, self.returned = (args[0] if args else (kwargs or {})["input"]), result
        return result


def _pytorch(
    net: nn.Module,
    image: npt.NDArray[np.uint8],
    sizing: _Sizing,
    dtype: torch.dtype = torch.float32,
    change: int = 0,
) -> npt.NDArray[Any] | None:
    """Logits at the image's size; None where the network itself fails. `change` seeds one of the pixels."""
    height, width = image.shape[1:3]
    x = torch.from_numpy(image.transpose(0, 3, 1, 2).astype(np.float32)) / 255
    if change:
        x += CHANGE * torch.randn(x.shape, generator=torch.Generator().manual_seed(change))
    if sizing.working is not None:
        x = _resized(x, sizing.working.of(height, width), antialias=True)
    seen = x.shape[-2:]
    x, crop = sizing.padded(net, x)
    with torch.inference_mode(), _LastResize() as resize:
        try:
            # A copy: some networks keep what they made of the first image that they saw.
            out = _logits(copy.deepcopy(net)(x.to(dtype)), x.shape[-2:])
        except Exception:  # noqa: BLE001 (a network may raise anything at a size that it does not take)
            return None
    if sizing.working is not None and sizing.working.coarse:
        out = resize.read if out is resize.returned else out
    elif not crop and out.shape[-2:] != x.shape[-2:]:
        out = _resized(out, x.shape[-2:])
    if sizing.working is None or not sizing.working.coarse:
        out = out[..., : seen[0], : seen[1]]
    out = out if out.shape[-2:] == (height, width) else _resized(out, (height, width))
    found: npt.NDArray[Any] = out.numpy()
    return found if np.isfinite(found).all() else None


def _resized(x: torch.Tensor, size: Any, *, antialias: bool = False) -> torch.Tensor:
    with torch.inference_mode():
        return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False, antialias=antialias)


def _logits(out: Any, size: Any) -> torch.Tensor:
    if hasattr(out, "class_queries_logits"):
        return _of_queries(out, out.class_queries_logits, out.masks_queries_logits, size)
    if hasattr(out, "pred_masks"):
        return _of_queries(out, out.logits, out.pred_masks, size)
    out = getattr(out, "logits", out)
    while isinstance(out, (tuple, list, dict)):
        out = next(iter(out.values())) if isinstance(out, dict) else out[0]
    tensor: torch.Tensor = out
    return tensor


def _of_queries(out: Any, classes: torch.Tensor, masks: torch.Tensor, size: Any) -> torch.Tensor:
    """As post_process_semantic_segmentation of the network's processor in transformers combines masks."""
    kind = type(out).__name__
    if kind.startswith(("Mask2Former", "Eomt")):
        masks = _resized(masks, (384, 384) if kind.startswith("Mask2Former") else size)
    shares = classes.softmax(-1)[..., :-1]
    return _resized(torch.einsum("bqc,bqhw->bchw", shares, masks.sigmoid()), size)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
