"""The first opening of a file of unknown origin: in a child process with limits on memory and time.

The child does all that an opening does, onnxruntime included, and runs the self-test; what it cannot do
within its limits, or what ends it, is a ModelError here. The child is this module, run as a program.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Sequence

from fcn_edge_runtime._child import ChildError, our_environment, run_child
from fcn_edge_runtime.errors import FcnEdgeError, ModelError
from fcn_edge_runtime.model.allowed import ALLOW_OPERATORS, TRUSTED_KEYS, allowed_operators
from fcn_edge_runtime.model.file import ModelFile

__all__ = ["open_in_child"]

SECONDS = 30.0
# Of memory, besides what the child has before it opens the file, and for each byte of the file.
MEGABYTES, PER_BYTE = 1024, 8

_passed: set[str] = set()


def open_in_child(
    model: ModelFile,
    allow_operators: Sequence[str] = (),
    *,
    seconds: float = SECONDS,
    megabytes: int = MEGABYTES,
) -> None:
    """Open a file and run its self-test on the CPU, in a child; once for each digest in a process.

    Args:
        model: the file, open and checked here.
        allow_operators: as for `ModelFile.open`.
        seconds: that the child may take.
        megabytes: that opening may take, besides eight times the file's size.

    Raises:
        ModelError: it took too much, was ended by a signal, or the file is refused.
        VerificationError: the self-test failed.
    """
    if model.digest in _passed:
        return
    space = (megabytes << 20) + PER_BYTE * model.size
    command = [sys.executable, "-m", "fcn_edge_runtime.isolation", os.path.abspath(model.path), str(space)]  # noqa: PTH100 - a path may hold what Path refuses
    environment = {
        **our_environment(),
        "OMP_NUM_THREADS": "1",
        TRUSTED_KEYS: "",  # the signature was checked here, and the child opens a file of the same digest
        ALLOW_OPERATORS: ",".join(sorted(allowed_operators().union(allow_operators))),
    }
    try:
        answer = json.loads(run_child(command, seconds=seconds, environment=environment))
    except (ChildError, OSError, ValueError) as error:
        raise ModelError(
            f"{model.path} was first opened in a process of its own, which {error}: do not use this file"
        ) from None
    if "error" in answer:
        kind = next((k for k in FcnEdgeError.__subclasses__() if k.__name__ == answer["kind"]), ModelError)
        raise kind(answer["error"])
    if answer["digest"] != model.digest:
        raise ModelError(f"{model.path} was replaced while it was opened: open it again")
    _passed.add(model.digest)


def _main(path: str, space: str) -> None:
    """Open the file under the limits, and print the answer as one JSON object."""
    from pathlib import Path

    from fcn_edge_runtime.selftest import require_passed, run_selftest
    from fcn_edge_runtime.session.devices import import_onnxruntime
    from fcn_edge_runtime.session.session import open_session

    import_onnxruntime()
    with contextlib.suppress(ImportError, OSError):  # Windows has no such limits
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + int(space)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with ModelFile.open(path) as model:
            session = open_session(model, "cpu", threads=1)
            require_passed(run_selftest(session, model.card, model.golden))
            answer = {"digest": model.digest}
    except FcnEdgeError as error:
        answer = {"error": str(error), "kind": type(error).__name__}
    print(json.dumps(answer))  # noqa: T201 - the answer to the parent


if __name__ == "__main__":
    _main(*sys.argv[1:])
