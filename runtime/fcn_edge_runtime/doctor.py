"""What this machine can run, and why not: each provider is started in its own process.

A provider with missing or mismatched libraries may crash or hang; its own process and a time limit turn that
into a line of the report.
"""

from __future__ import annotations

import json
import platform
import shlex
import struct
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution, distributions, version
from typing import Any
from urllib.parse import unquote, urlsplit

from fcn_edge_runtime._child import ChildError, our_environment, run_child
from fcn_edge_runtime._extras import EXTRAS
from fcn_edge_runtime.errors import FcnEdgeError, ProviderError
from fcn_edge_runtime.model.protobuf.fields import (
    DataType,
    Dimension,
    Graph,
    Model,
    Node,
    OperatorSetId,
    Tensor,
    TensorShape,
    TensorType,
    Type,
    ValueInfo,
)
from fcn_edge_runtime.model.protobuf.writing import field, message
from fcn_edge_runtime.session.devices import cores, import_onnxruntime, install_hint, short_name

__all__ = [
    "SHOWN_EXTRAS",
    "Diagnosis",
    "ProviderState",
    "diagnose",
    "install_here",
    "probe_model",
    "start_provider",
    "try_provider",
]

START_SECONDS = 120
_TRIAL = "import sys; from fcn_edge_runtime.doctor import _child; _child(sys.argv[1])"
SHOWN_EXTRAS = tuple(EXTRAS)


@dataclass(frozen=True)
class ProviderState:
    """Whether one provider works on this machine.

    Attributes:
        device: the name to use with --device.
        provider: onnxruntime's name.
        built_in: whether the installed onnxruntime has it.
        starts: whether it ran a small convolution with the right result.
        why: why not, in one line; empty if it starts.
    """

    device: str
    provider: str
    built_in: bool
    starts: bool
    why: str


@dataclass(frozen=True)
class Diagnosis:
    """The report of `fcn-edge doctor`.

    Attributes:
        system: python, platform, cores.
        packages: versions by package name, None where a package is not installed.
        extras: by extra, its missing packages.
        onnxruntime_error: why onnxruntime cannot be used at all; empty if it can.
        providers: first those of this build, then those that other builds have.
        warnings: things that will go wrong later.
    """

    system: dict[str, str]
    packages: dict[str, str | None]
    extras: dict[str, tuple[str, ...]]
    onnxruntime_error: str
    providers: tuple[ProviderState, ...]
    warnings: tuple[str, ...]

    @property
    def can_run(self) -> bool:
        """Whether this machine can run a model."""
        return any(state.starts for state in self.providers)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {**asdict(self), "can_run": self.can_run}


def diagnose() -> Diagnosis:
    """Inspect the installation, and start every provider of the build once."""
    installed = sorted(
        {
            name
            for distribution in distributions()
            if (name := (distribution.metadata["Name"] or "").lower()).startswith("onnxruntime")
            and name not in {"onnxruntime-tools", "onnxruntime-extensions", "onnxruntime-genai"}
        }
    )
    # The exporter's packages are looked up by name and never imported here.
    extras = {extra: tuple(EXTRAS[extra].values()) for extra in SHOWN_EXTRAS}
    names = ("fcn-edge", "numpy", "click", *(part for parts in extras.values() for part in parts))
    packages = {name: _version(name) for name in (*names[:3], *installed, *names[3:])}
    warnings = []
    if len(installed) > 1:
        warnings.append(
            f"{' and '.join(installed)} overwrite each other: uninstall all of them, then install one"
        )
    if sys.version_info < (3, 11):
        warnings.append(f"export needs Python 3.11 or newer, this is {platform.python_version()}")
    error = ""
    providers: tuple[ProviderState, ...] = ()
    try:
        runtime = import_onnxruntime()
        if not installed:  # Jetson's and self-built ones may come without a distribution of a known name
            packages["onnxruntime"] = str(runtime.__version__)
        providers = _provider_states(runtime)
    except ProviderError as failure:
        error = str(failure)
    return Diagnosis(
        system={
            "python": platform.python_version(),
            "platform": platform.platform(),
            "machine": platform.machine(),
            "cores": str(cores()),
        },
        packages=packages,
        extras={extra: _missing(extra, parts, packages) for extra, parts in extras.items()},
        onnxruntime_error=error,
        providers=providers,
        warnings=tuple(warnings),
    )


def install_here(extra: str) -> str:
    """The command that adds an extra to this environment, from where fcn-edge was installed from."""
    target = f"fcn-edge[{extra}]"
    options = []
    try:
        origin = json.loads(distribution("fcn-edge").read_text("direct_url.json") or "{}")
        if "dir_info" in origin:
            target = f"{unquote(urlsplit(origin['url']).path)}[{extra}]"
            options = ["-e"] if origin["dir_info"].get("editable") else []
    except (PackageNotFoundError, ValueError, KeyError, AttributeError):
        pass  # a checkout on the import path, or a record that is not pip's
    return shlex.join([sys.executable or "python", "-m", "pip", "install", *options, target])


def _missing(extra: str, parts: tuple[str, ...], packages: dict[str, str | None]) -> tuple[str, ...]:
    """What an extra lacks; nothing where another extra, or a package of the system, brings an onnxruntime."""
    if extra == "cpu" and any(number for name, number in packages.items() if name.startswith("onnxruntime")):
        return ()
    return tuple(part for part in parts if packages[part] is None)


def start_provider(provider: str) -> None:
    """Start a provider in this process and let it run a small convolution.

    Raises:
        ProviderError: it does not start, or computes something else.
    """
    import numpy as np

    from fcn_edge_runtime.session.session import open_session

    session = open_session(probe_model(), provider, threads=1)
    image = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    result = session.run(image)["labels"]
    if not np.allclose(result, 2 * image, rtol=1e-3):
        raise ProviderError(f"the device '{session.device}' starts but computes wrong numbers")


def probe_model() -> bytes:
    """An ONNX model of one 1x1 convolution that doubles a float image (batch, 1, height, width)."""
    weight = message(
        Graph.INITIALIZER,
        *[field(Tensor.DIMS, 1)] * 4,
        field(Tensor.DATA_TYPE, DataType.FLOAT),
        field(Tensor.NAME, "weight"),
        field(Tensor.RAW_DATA, struct.pack("<f", 2.0)),
    )
    node = message(
        Graph.NODE,
        field(Node.INPUT, "image"),
        field(Node.INPUT, "weight"),
        field(Node.OUTPUT, "labels"),
        field(Node.OP_TYPE, "Conv"),
    )
    dims: tuple[int | str, ...] = ("batch", 1, "height", "width")
    shape = [
        message(
            TensorShape.DIM,
            field(Dimension.DIM_PARAM if isinstance(dim, str) else Dimension.DIM_VALUE, dim),
        )
        for dim in dims
    ]
    kind = message(
        ValueInfo.TYPE,
        message(
            Type.TENSOR_TYPE,
            field(TensorType.ELEM_TYPE, DataType.FLOAT),
            message(TensorType.SHAPE, *shape),
        ),
    )
    graph = message(
        Model.GRAPH,
        node,
        field(Graph.NAME, "probe"),
        weight,
        message(Graph.INPUT, field(ValueInfo.NAME, "image"), kind),
        message(Graph.OUTPUT, field(ValueInfo.NAME, "labels"), kind),
    )
    opset = message(Model.OPSET_IMPORT, field(OperatorSetId.DOMAIN, ""), field(OperatorSetId.VERSION, 18))
    return field(Model.IR_VERSION, 10) + graph + opset


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _provider_states(runtime: Any) -> tuple[ProviderState, ...]:
    built_in = runtime.get_available_providers()
    states = [try_provider(provider) for provider in built_in]
    states += [
        ProviderState(
            short_name(provider), provider, False, False, f"not in this onnxruntime: {install_hint(provider)}"
        )
        for provider in runtime.get_all_providers()
        if provider not in built_in
    ]
    return tuple(states)


def try_provider(provider: str) -> ProviderState:
    """Start a provider in another process and report the result."""
    try:
        answer = run_child(
            [sys.executable, "-c", _TRIAL, provider], seconds=START_SECONDS, environment=our_environment()
        )
        why = json.loads(answer.splitlines()[-1])
    except ChildError as error:
        why = f"its trial process {error}"
    except (ValueError, IndexError, OSError) as error:
        why = f"its trial process failed ({error})"
    return ProviderState(short_name(provider), provider, True, not why, why)


def _child(provider: str) -> None:
    why = ""
    try:
        start_provider(provider)
    except FcnEdgeError as error:
        why = str(error)
    sys.stdout.write("\n" + json.dumps(why) + "\n")
