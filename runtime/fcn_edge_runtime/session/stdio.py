"""Keep what C++ libraries print away from the user's stdout, and keep its text for the error message."""

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

    onnxruntime up to 1.22.1 prints to stdout when a provider does not start, and the reason, such as the
    library that is missing, is only ever found in what it prints. The descriptors belong to the whole
    process, so this is used for as short as can be, and by one thread at a time.

    Yields:
        A list whose one text is filled in when the block ends: what was printed, at most 64 KB of it.
    """
    import tempfile  # with what it brings, a tenth of this package's own start, and CPUs never come here

    said = [""]
    with _LOCK, contextlib.ExitStack() as stack:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, OSError, ValueError):  # closed, or replaced by anything
                stream.flush()
        try:
            sink = stack.enter_context(tempfile.TemporaryFile())
        except OSError:  # no place for temporary files: at least keep stdout clean
            sink = stack.enter_context(open(os.devnull, "r+b"))  # noqa: PTH123 - os.devnull is a str
        saved = []
        for descriptor in (1, 2):
            with contextlib.suppress(OSError):  # a daemon may have closed it
                saved.append((descriptor, os.dup(descriptor)))
                os.dup2(sink.fileno(), descriptor)
        try:
            yield said
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(AttributeError, OSError, ValueError):
                    stream.flush()
            for descriptor, copy in saved:
                os.dup2(copy, descriptor)
                os.close(copy)
            sink.seek(0)
            said[0] = sink.read(_LIMIT).decode("utf-8", "replace")
