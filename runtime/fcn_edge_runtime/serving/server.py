"""`serve`: opens a model, runs its self-test, and listens until it is told to end."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from fcn_edge_runtime._extras import require
from fcn_edge_runtime._text import printable
from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.segmenter import Segmenter
from fcn_edge_runtime.serving.app import application
from fcn_edge_runtime.serving.options import ServeOptions
from fcn_edge_runtime.trusted_session import selftest

__all__ = ["serve"]

_MOST_CONNECTIONS = 512
_GRACE = 10  # seconds that running requests get at the end


def serve(
    model: str | Path,
    options: ServeOptions | None = None,
    version: str = "",
    said: Callable[[str], None] = print,
) -> None:
    """Serve a model over HTTP until SIGTERM or SIGINT, then finish what runs.

    The file is opened in a process of its own first, and its self-test must pass before a connection is
    taken.

    Args:
        model: a file that `fcn-edge export` wrote.
        options: address, device and limits; None takes the defaults.
        version: of fcn-edge, for clients that ask.
        said: receives lines about where it listens, and what runs.

    Raises:
        UsageError: the address is in use, or not one of this machine.
        InputError: the extra `serve` is not installed.
        VerificationError: the self-test failed.
        ModelError, ProviderError: as for `Segmenter`.
    """
    options = options or ServeOptions()
    uvicorn = require("uvicorn", "serving", InputError)
    with contextlib.ExitStack() as stack:
        segmenter = stack.enter_context(
            Segmenter(
                model, options.device, options.threads, outputs=options.outputs,
                max_pixels=options.max_pixels, isolated_first=True,
            )
        )  # fmt: skip
        selftest(model, options.device)
        listener = stack.enter_context(_listening(options))
        name = re.sub(r"[^\w.-]+", "-", Path(model).stem)[:80] or "model"
        app = application(segmenter, name, options, version)
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        session = segmenter.session
        said(f"model  {printable(segmenter.card.name)}, which passed its self-test")
        said(f"device {session.device} ({session.why})")
        said(f"serve  http://{shown}:{port}   the model is {name!r} in /v2")
        if not options.is_local:
            said("every machine that reaches this address can use it: there is no password")
        server = uvicorn.Server(
            uvicorn.Config(
                app, log_level="warning", access_log=False, server_header=False, lifespan="on", ws="none",
                limit_concurrency=_MOST_CONNECTIONS, timeout_keep_alive=5, timeout_graceful_shutdown=_GRACE,
                h11_max_incomplete_event_size=1 << 16,
            )
        )  # fmt: skip
        before = {
            number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            server.run(sockets=[listener])  # which repeats the signal at its end
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _listening(options: ServeOptions) -> socket.socket:
    try:
        found = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with contextlib.ExitStack() as failed:
            listener = failed.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            failed.pop_all()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot listen on {options.host[:80]}:{options.port} ({reason})") from None
    listener.listen(128)
    return listener
