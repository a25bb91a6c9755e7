"""What all engines get, made once: weights, frames, files in every engine's format.

With them come the labels of PyTorch in float32, with which all others are compared.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from benchmarks.comparison.contract import Materials
from fcn_edge.recipes import Recipe, find_recipe
from fcn_edge.workflows import Request, export_network
from fcn_edge_export import ExportOptions, QuantizeOptions, quantize
from fcn_edge_runtime.errors import FcnEdgeError, UsageError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MODELS", "Shared", "for_size", "resized", "shared"]

MODELS = Path(__file__).resolve().parents[2] / "models" / "corridor"
OURS = (  # (head, float file, the same in int8)
    ("dense", "ours-fp32.onnx", "ours-int8.onnx"),
    ("sparse", "ours-fp32-sparse.onnx", "ours-int8-sparse.onnx"),
)
NEWCOMER = ("ours-fp32.onnx", "newcomer-quantized.onnx")  # by `fcn-edge quantize`, with its defaults
HELD_OUT, CALIBRATION = 20, 32  # frames

Say = Callable[[str], None]


class Shared:
    """What all sizes share: the network with its weights, and our float files.

    Attributes:
        recipe: of the network.
        net: in PyTorch, in evaluation mode.
        folder: of the files.
        wanted: our files to make; int8 files are made for each size.
        refused: float files that could not be made, and why.
    """

    def __init__(self, recipe: Recipe, net: nn.Module, folder: Path, wanted: frozenset[str]) -> None:
        self.recipe, self.net, self.folder, self.wanted = recipe, net, folder, wanted
        self.refused: dict[str, str] = {}


def shared(name: str, folder: Path, names: Iterable[str], say: Say) -> Shared:
    """The network of a recipe, and the float files that these names of ours need (see `engines.ours.FILES`).

    A file that cannot be made is recorded with the reason, and the others are made.

    Raises:
        UsageError: the recipe is unknown.
        CheckpointError: its weights cannot be read.
    """
    import torch

    from fcn_edge.nets import resolve
    from fcn_edge.nets.weights.sources import build_with_weights, parse_weights

    recipe = find_recipe(name)
    if recipe is None:
        raise UsageError(f"there is no recipe {name}: expected a name that `fcn-edge nets` lists as a recipe")
    folder.mkdir(parents=True, exist_ok=True)
    spec = resolve(recipe.net, num_classes=len(recipe.card["classes"]), options=recipe.options)
    net = build_with_weights(spec, parse_weights(recipe.find_weights(), recipe.sha256)).eval()
    torch.save(net.state_dict(), folder / "net.pth")
    made = Shared(recipe, net, folder, frozenset(names))
    for head, parent, child in OURS:
        if made.wanted & {parent, child} or (parent == NEWCOMER[0] and made.wanted & {*NEWCOMER}):
            _make(parent, partial(_export, name, head, folder / parent), made.refused, say)
    parent, child = NEWCOMER
    if child in made.wanted:
        quantized = partial(_quantize, folder / parent, folder / child, MODELS / "calibration", None)
        _make(child, quantized, made.refused, say)
    return made


def _make(name: str, make: Callable[[], None], refused: dict[str, str], say: Say) -> None:
    say(f"making {name}")
    try:
        make()
    except FcnEdgeError as error:
        refused[name] = str(error)
        say(f"{name}: {error}")


def for_size(
    shared: Shared,
    height: int,
    width: int,
    threads: int,
    *,
    frames: int = HELD_OUT,
    agreement: float,
    say: Say,
) -> Materials:
    """Frames and files of one size, and PyTorch's labels of them.

    Our int8 files keep the share `agreement` of the labels on the frames that verify them as they are made.
    The table compares on other frames, so require a little more than there.
    """
    import torch

    card = shared.recipe.card
    folder = shared.folder / f"{height}x{width}"
    refused = dict(shared.refused)
    made = Materials(
        shared=shared.folder,
        folder=folder,
        height=height,
        width=width,
        threads=threads,
        net=shared.recipe.net,
        options=shared.recipe.options,
        classes=len(card["classes"]),
        mean=tuple(card["input"]["mean"]),
        std=tuple(card["input"]["std"]),
        refused=refused,
    )
    made.pictures.mkdir(parents=True, exist_ok=True)
    held = resized(sorted((MODELS / "heldout" / "images").iterdir()), frames, height, width)
    np.save(folder / "frames.npy", held)
    pictures = [p for p in sorted((MODELS / "calibration").iterdir()) if p.is_file()]
    calibration = resized(pictures, CALIBRATION, height, width)
    np.save(folder / "calibration.npy", calibration)
    _write_pictures(made.pictures, calibration)
    example = torch.zeros(1, 3, height, width)
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            shared.net,
            (example,),
            made.onnx,
            input_names=["image"],
            output_names=["logits"],
            external_data=False,
        )
        torch.jit.trace(shared.net, example).save(str(made.torchscript))  # type: ignore[no-untyped-call]
    np.save(folder / "reference.npy", _reference(shared.net, made, held, threads))
    for _head, parent, child in OURS:
        if child in shared.wanted:
            make = partial(_quantize, shared.folder / parent, made.ours(child), made.pictures, agreement)
            _make(child, make, refused, say)
    made.save()
    return made


def _export(name: str, head: str, path: Path) -> None:
    path.unlink(missing_ok=True)
    export_network(
        Request(name),
        path,
        options=ExportOptions(head=head),
    )


def _quantize(parent: Path, path: Path, pictures: Path, agreement: float | None) -> None:
    """int8 as `fcn-edge quantize` makes it, on the calibration frames.

    With an agreement it is written even if it is not faster or mostly float: the table shows its speed.
    """
    path.unlink(missing_ok=True)
    options = QuantizeOptions()
    if agreement is not None:
        options = QuantizeOptions(agreement=agreement, allow_slower=True, allow_mostly_float=True)
    quantize(parent, path, pictures, options=options)


def resized(paths: Sequence[Path], count: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    """At most `count` images, evenly chosen, resized (N, H, W, 3)."""
    from PIL import Image

    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int)]
    return np.stack(
        [
            np.asarray(Image.open(path).convert("RGB").resize((width, height), Image.Resampling.LANCZOS))
            for path in chosen
        ]
    )


def _write_pictures(folder: Path, frames: npt.NDArray[np.uint8]) -> None:
    from PIL import Image

    for old in folder.iterdir():
        old.unlink()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{index:03d}.png")


def _reference(net: nn.Module, made: Materials, frames: npt.NDArray[np.uint8], threads: int) -> Any:
    """PyTorch's labels in float32: (N, H, W) uint8."""
    import torch

    torch.set_num_threads(threads)
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (made.mean, made.std))
    labels = []
    with torch.inference_mode():
        for frame in frames:
            pixels = torch.from_numpy(np.array(frame)).permute(2, 0, 1).unsqueeze(0)
            labels.append(net((pixels / 255 - mean) / std).argmax(1)[0].to(torch.uint8).numpy())
    return np.stack(labels)


@contextlib.contextmanager
def _quiet() -> Any:
    """torch.onnx.export prints its progress to stdout, which is the table's."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        yield
