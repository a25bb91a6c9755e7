"""onnxsim, isolated and checked.

It runs in its own process with a time limit, because a crash in native code would also end the exporter. The
interface of its result is compared with the interface before, because the simplifier may freeze or rename
axes. Whether the numbers are still right is checked by the verdict.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx

from fcn_edge_export.graph.gelu import halve_gelu_last
from fcn_edge_export.graph.means import split_means
from fcn_edge_runtime._child import Child, ChildError, started
from fcn_edge_runtime.errors import ArtifactError

__all__ = ["Simplified", "Simplifier", "contract", "operators", "simplifier", "simplify"]

ADVICE = "export with --allow-unsimplified to go on without it"
# Not done: these put operators of onnxruntime alone in place of attention that is written in ONNX's own.
FUSIONS = ("fuse_attention", "fuse_gqa")
# onnxsim imports torch if it is installed, which takes longer than simplifying a small network, and works
# without it.
WORKER = f"""
import json, sys
sys.modules["torch"] = None
import onnxsim
source, target = json.load(sys.stdin)
onnxsim.simplify(source, output_path=target, skipped_optimizers={list(FUSIONS)})
"""


@dataclass(frozen=True)
class Simplified:
    """The simplified model and its node counts; if it was not simplified, `skipped` is the reason."""

    model: onnx.ModelProto
    nodes_before: int
    nodes_after: int
    skipped: str = ""


Simplifier = Callable[[onnx.ModelProto], Simplified]


@contextmanager
def simplifier(*, seconds: float = 600) -> Iterator[Simplifier]:
    """`simplify` for one model, in a process that starts with the context: it takes seconds to be ready."""
    # -P: files in the working directory are not modules of ours.
    with ExitStack() as context:
        try:
            child = context.enter_context(started([sys.executable, "-P", "-c", WORKER]))
        except OSError as error:
            yield partial(_refuse, error)
        else:
            yield partial(_simplify, child, seconds)


def simplify(model: onnx.ModelProto, *, seconds: float = 600) -> Simplified:
    """Simplify a traced model: constants folded, batch norms merged, shape arithmetic removed.

    Raises:
        ArtifactError: onnxsim crashed, took longer than `seconds`, or changed inputs, outputs or their axes;
            or the folder for temporary files is full.
    """
    with simplifier(seconds=seconds) as simplified:
        return simplified(model)


def _refuse(error: OSError, _model: onnx.ModelProto) -> Simplified:
    raise ArtifactError(f"simplify: onnxsim cannot be started: {error}: {ADVICE}") from None


def _simplify(child: Child, seconds: float, model: onnx.ModelProto) -> Simplified:
    try:
        with tempfile.TemporaryDirectory(prefix="fcn-edge-") as folder:
            source, target = Path(folder, "traced.onnx"), Path(folder, "simplified.onnx")
            onnx.save(model, source)
            _run(child, source, target, seconds)
            simplified = onnx.load(target)
    except OSError as error:
        where = tempfile.gettempdir()
        raise ArtifactError(
            f"simplify: cannot work in {where}: {error.strerror or error}: make room there, or set TMPDIR"
        ) from error
    if (got := contract(simplified)) != (expected := contract(model)):
        raise ArtifactError(
            f"simplify: onnxsim changed the interface from {expected} to {got}: "
            "report it to onnxsim, or export with --allow-unsimplified"
        )
    del simplified.graph.value_info[:]
    simplified.ir_version = model.ir_version
    split_means(simplified)
    halve_gelu_last(simplified)
    return Simplified(simplified, len(model.graph.node), len(simplified.graph.node))


def contract(model: onnx.ModelProto) -> str:
    """Inputs and outputs with their axes, operator sets and domains, and local functions."""
    values = [
        f"{v.name}{[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]}"
        for v in (*model.graph.input, *model.graph.output)
    ]
    opsets = sorted(
        f"{o.domain or 'ai.onnx'} {o.version}" for o in model.opset_import if o.domain in ("", "ai.onnx")
    )
    domains = sorted({node.domain for node in model.graph.node} - {"", "ai.onnx"})
    return " ".join([*values, *opsets, *domains, *(f"function {f.name}" for f in model.functions)])


def operators(model: onnx.ModelProto) -> dict[str, int]:
    """How often each operator occurs, most frequent first."""
    return dict(Counter(node.op_type for node in model.graph.node).most_common())


def _run(child: Child, source: Path, target: Path, seconds: float) -> None:
    try:
        child.finish(json.dumps([str(source), str(target)]), seconds=seconds)
    except ChildError as error:
        raise ArtifactError(f"simplify: onnxsim {error}: {ADVICE}") from None
    if not target.is_file():
        raise ArtifactError(f"simplify: onnxsim wrote no file: {ADVICE}")
