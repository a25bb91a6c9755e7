"""nn.Module -> ONNX with symbolic batch, height and width.

The same steps for every network: torch.export with a few functions rewritten (`rewrites`) and Python's
numbers symbolic (`symbolic`), decompositions of resizes, torch.onnx.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from torch import nn
from torch.export import _trace

from fcn_edge_export.blocks import InBlocks, blocks_of, without_blocks
from fcn_edge_export.conditions import Condition, FrozenSizeError, conditions_of, fixing_line
from fcn_edge_export.exact_sizes import factors_of, multiply_sizes_in_float64, resize_decompositions
from fcn_edge_export.examples import Example
from fcn_edge_export.floor_division import round_down
from fcn_edge_export.fourier import fourier_decompositions
from fcn_edge_export.graph.names import LOGITS, TRACED_INPUT
from fcn_edge_export.reference import LogitsNetwork
from fcn_edge_export.rewrites.mode import Rewrites
from fcn_edge_export.sizes import Sizes
from fcn_edge_export.symbolic.arrays import symbolic_arrays
from fcn_edge_export.symbolic.functions import OPERATORS, allowed_in_programs
from fcn_edge_export.symbolic.numbers import symbolic_numbers
from fcn_edge_export.symbolic.sizes import symbolic_sizes
from fcn_edge_export.symbolic.tensors import symbolic_tensors
from fcn_edge_export.unscripted import unscripted
from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.model.contract import IR_VERSION, OPSET

__all__ = ["Traced", "trace"]

AXES = ("batch", "height", "width")
_FROZEN_AXIS = re.compile(
    r"size\(\)\[([0234])\] as dynamic but your code specialized it to be a constant \((\d+)\)"
)


_NO_OPERATOR = re.compile(r"No ONNX function found for <OpOverload\(op='(?:aten\.)?([\w.]+)'")
_BY_VALUES = ("GuardOnDataDependentSymNode", "DataDependentOutputException")
_LIBRARIES = ("torch", "numpy", "onnx", "onnx_ir", "onnxscript", "sympy")
_ONE_AT_ONCE = threading.RLock()  # functions of torch, and names of modules, are others while one is traced
_TALKATIVE = ("torch.onnx", "torch.export", "torch.fx.experimental.symbolic_shapes", "onnxscript", "onnx_ir")


@dataclass(frozen=True)
class Traced:
    """A traced network.

    Attributes:
        model: `normalized` [batch, channels, height, width] -> `logits`, all float32.
        conditions: on the size, under which the model is the network.
    """

    model: onnx.ModelProto
    conditions: tuple[Condition, ...]


def trace(network: LogitsNetwork, channels: int, sizes: Sizes, size: Example) -> Traced:
    """The network as ONNX: `normalized` [batch, channels, height, width] -> `logits`, all float32.

    Args:
        network: in evaluation mode.
        channels: of the image.
        sizes: that the network accepts.
        size: (batch, height, width) of the example, see `examples`.

    Raises:
        FrozenSizeError: its code fixes the batch, height or width.
        ArtifactError: torch cannot trace it, or the traced model differs from the contract.
    """
    batch, height, width = size
    example = torch.zeros(batch, channels, height, width)
    traced_network: nn.Module = network
    if sizes.multiple > 1:
        traced_network, example = InBlocks(network, sizes.multiple), blocks_of(example, sizes.multiple)
    places = (0, 2, 3 if sizes.multiple == 1 else 4)
    axes = dict.fromkeys(places[: 1 if sizes.fixed else 3], torch.export.Dim.DYNAMIC)
    taken: list[torch.SymInt | int] = []
    hook = traced_network.register_forward_pre_hook(lambda _, given: taken.extend(given[0].shape))
    try:
        with _alone(), unscripted(network), _rewritten(network):
            program = torch.export.export(
                traced_network, (example,), dynamic_shapes={"x": axes}, strict=False
            )
        with _alone():
            conditions = conditions_of(program, sizes.multiple)
            decompositions = resize_decompositions(program) | fourier_decompositions(program)
            factors = factors_of(program)
            if decompositions:
                program = program.run_decompositions(decompositions)
                factors = (*factors, *factors_of(program))
            round_down(program)
            traced = torch.onnx.export(
                program,
                (example,),
                dynamo=True,
                input_names=[TRACED_INPUT],
                output_names=[LOGITS],
                opset_version=OPSET,
                external_data=False,
                optimize=True,
                custom_translation_table=OPERATORS,
                verify=False,
                verbose=False,
            )
    except Exception as error:
        if isinstance(_cause(error), ArtifactError):
            raise _cause(error) from error
        if frozen := _FROZEN_AXIS.search(str(error)):
            axis = places.index(int(frozen[1]))
            side = int(frozen[2]) * (sizes.multiple if axis else 1)
            fixed = taken[int(frozen[1])]
            where = fixing_line(fixed) if isinstance(fixed, torch.SymInt) else ""
            raise FrozenSizeError(
                f"trace: the network's code{where and f' ({where})'} fixes the {AXES[axis]} of its input to "
                f"{side}: it has a condition on the {AXES[axis]}, or a shape made of it as a Python number: "
                "compute with tensors instead"
            ) from error
        where = _line_of_theirs(error)
        if missing := _NO_OPERATOR.search(str(_cause(error))):
            raise ArtifactError(
                f"trace: ONNX has no operator for PyTorch's {missing[1]}: let the network compute it in "
                "another way"
            ) from error
        if type(_cause(error)).__name__ in _BY_VALUES:
            raise ArtifactError(
                f"trace: the network decides by the values of a tensor{where and f' ({where})'}, and a file "
                "holds one case of it: compute every case, and choose by torch.where; take sizes as x.shape "
                "has them"
            ) from error
        raise ArtifactError(
            f"trace: torch could not export the network{where and f' ({where})'}: {_first_line(error)}"
        ) from error
    finally:
        hook.remove()
    if traced is None:
        raise ArtifactError("trace: torch.onnx returned no model")
    model = multiply_sizes_in_float64(traced.model_proto, factors)
    if sizes.multiple > 1:
        model = without_blocks(model, sizes.multiple)
    return Traced(_by_contract(model, channels, sizes), conditions)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One thread at once: a second one would take what stands for torch's functions for these."""
    with _ONE_AT_ONCE, _quiet(), torch.no_grad(), allowed_in_programs():
        yield


@contextlib.contextmanager
def _rewritten(network: nn.Module) -> Iterator[None]:
    with (
        symbolic_sizes(),
        symbolic_tensors(),
        symbolic_arrays(),
        symbolic_numbers(network),
        Rewrites(network),
    ):
        yield


def _by_contract(model: onnx.ModelProto, channels: int, sizes: Sizes) -> onnx.ModelProto:
    """The traced model with its axes named by the contract.

    Raises:
        ArtifactError: it differs from the contract; the message names the difference.
    """
    graph = model.graph
    if [i.name for i in graph.input] != [TRACED_INPUT] or [o.name for o in graph.output] != [LOGITS]:
        names = f"{[i.name for i in graph.input]} -> {[o.name for o in graph.output]}"
        raise ArtifactError(f"trace: got {names}, expected one input and one output")
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset != OPSET:
        raise ArtifactError(f"trace: got opset {opset}, expected {OPSET}")
    if model.functions:
        raise ArtifactError(f"trace: got {len(model.functions)} local functions, expected none")
    taken = [d.dim_param or d.dim_value for d in graph.input[0].type.tensor_type.shape.dim]
    for axis, name in zip((0, 2, 3), AXES, strict=True):
        if not isinstance(taken[axis], str) and not (sizes.fixed and axis):
            raise ArtifactError(
                f"trace: {name} was frozen to {taken[axis]}: the network fixes it while it is traced"
            )
    # torch renames the symbols, and gives output axes as expressions of them. Their names are part of our
    # contract; whether the output really has the input's size is checked by the verdict.
    del graph.value_info[:]
    name_axes(graph.input[0], channels, sizes.fixed)
    name_axes(graph.output[0], sizes.classes, sizes.fixed)
    model.ir_version = IR_VERSION
    return model


def name_axes(value: onnx.ValueInfoProto, channels: int, fixed: tuple[int, int] | None = None) -> None:
    """Name the axes of an NCHW value: batch, channels, and height and width, or what these are fixed to."""
    dims = value.type.tensor_type.shape.dim
    del dims[:]
    for name in ("batch", channels, *(fixed or ("height", "width"))):
        dim = dims.add()
        if isinstance(name, str):
            dim.dim_param = name
        else:
            dim.dim_value = name


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the tracer's messages about torch's internals, which no user can act on."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        vars(_trace)["print"] = lambda *_, **__: None  # it prints the whole graph to stderr where it fails
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        del vars(_trace)["print"]
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _line_of_theirs(error: BaseException) -> str:
    """The innermost line of code behind an error that is no library's of the export; empty if none is."""
    own = (__file__, *(str(sys.modules[name].__file__) for name in _LIBRARIES if name in sys.modules))
    not_theirs = (*(str(Path(path).parent) for path in own), "<")
    found: BaseException | None = error
    where = ""
    while found is not None:
        for frame in traceback.extract_tb(found.__traceback__):
            if not frame.filename.startswith(not_theirs):
                where = f"{Path(frame.filename).name}:{frame.lineno}: {(frame.line or '').strip()[:80]}"
        found = found.__cause__
    return where


def _first_line(error: Exception) -> str:
    """The cause, without the long advice that torch adds."""
    cause = _cause(error)
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {' '.join(lines[:3])[:400]}"
