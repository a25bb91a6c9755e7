"""Keep the output of C++ libraries out of the user's stdout, and keep its text for the error message."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

__all__ = ["captured_output"]

_LOCK = threading.Lock()
_LIMIT = 1 << 16


@contextlib.contextmanager
def captured_output() -> Iterator[list[str]]:
    """Redirect the descriptors 1 and 2 to a file while the block runs.

    onnxruntime up to 1.22.1 prints to stdout when a provider does not start, and only what it prints names
    the reason, such as a missing library. The descriptors belong to the whole process, so keep the block
    short; threads wait for each other.

    Yields:
        A list of one text, which is filled when the block ends: what was printed, at most 64 KB of it.
    """
    import tempfile  # a tenth of this package's own start time, and not needed on CPUs

    text = [""]
    with _LOCK, contextlib.ExitStack() as stack:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(
                AttributeError, OSError, ValueError
            ):  # closed, or replaced by another object
                stream.flush()
        try:
            sink = stack.enter_context(tempfile.TemporaryFile())
        except OSError:  # no folder for temporary files: at least keep stdout clean
            sink = stack.enter_context(open(os.devnull, "r+b"))  # noqa: PTH123 - os.devnull is a str
        saved = []
        for descriptor in (1, 2):
            with contextlib.suppress(OSError):  # a daemon may have closed it
                saved.append((descriptor, os.dup(descriptor)))
                os.dup2(sink.fileno(), descriptor)
        try:
            yield text
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(AttributeError, OSError, ValueError):
                    stream.flush()
            for descriptor, copy in saved:
                os.dup2(copy, descriptor)
                os.close(copy)
            sink.seek(0)
            text[0] = sink.read(_LIMIT).decode("utf-8", "replace")
