"""HTTP with an end: a total time, a least rate, and no redirect that leaves https or the web.

Time-outs of sockets start anew with every byte. Here a thread looks at the whole download, and shuts its
sockets down when it takes too long.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import socket
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

__all__ = ["Patience", "SlowError", "Watch", "opener"]

_LOOK = 0.1  # seconds


class SlowError(OSError):
    """A server that is too slow, in words that follow "could not be fetched"."""


@dataclass(frozen=True)
class Patience:
    """How slow a server may be.

    Attributes:
        answer: seconds to the end of its headers, redirects included.
        total: seconds for everything.
        rate: bytes a second that must arrive, on the average of any `window`.
        window: seconds.
    """

    answer: float = 60.0
    total: float = 6 * 3600.0
    rate: float = 1000.0
    window: float = 30.0


class Watch:
    """Looks at a download until the block ends. `advance` and `answered` report how far it is."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._sockets: list[socket.socket] = []
        self._done, self._answered, self._over = 0, False, threading.Event()
        self.reason = ""
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def __enter__(self) -> Watch:  # noqa: PYI034 - typing.Self came with Python 3.11
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def opened(self, connection: socket.socket) -> None:
        """Take a socket, to be shut down when it is too slow."""
        self._sockets.append(connection)

    def answered(self) -> None:
        """The headers are there."""
        self._answered = True

    def advance(self, done: int) -> None:
        """So many bytes have arrived.

        Raises:
            SlowError: it took too long.
        """
        self._done = done
        self.check()

    def check(self) -> None:
        """Raise SlowError if it took too long."""
        if self.reason:
            raise SlowError(self.reason)

    def _look(self) -> None:
        begin = since = time.monotonic()
        before = 0
        while not self._over.wait(_LOOK):
            now, patience = time.monotonic(), self._patience
            if not self._answered:
                since = now
                late = now - begin > patience.answer
                self.reason = f"no answer within {patience.answer:g} s" if late else ""
            elif now - since >= patience.window:
                rate = (self._done - before) / (now - since)
                slow = rate < patience.rate
                self.reason = f"{rate:.0f} bytes a second, expected {patience.rate:g}" if slow else ""
                since, before = now, self._done
            if now - begin > patience.total:
                self.reason = f"not done within {patience.total:g} s"
            if self.reason:
                for connection in self._sockets:
                    with contextlib.suppress(OSError, ValueError):
                        connection.shutdown(socket.SHUT_RDWR)
                return


class _Plain(http.client.HTTPConnection):
    """Tells the watch its socket."""

    def __init__(self, watch: Watch, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._watch = watch

    def connect(self) -> None:
        super().connect()
        self._watch.opened(self.sock)


class _Encrypted(_Plain, http.client.HTTPSConnection):
    """The same, encrypted."""


class _PlainHandler(urllib.request.HTTPHandler):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        kind: Any = functools.partial(_Plain, self._watch)
        return self.do_open(kind, req)


class _EncryptedHandler(urllib.request.HTTPSHandler):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        kind: Any = functools.partial(_Encrypted, self._watch)
        return self.do_open(kind, req, context=ssl.create_default_context())


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, except from https to anything else."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        scheme = urllib.parse.urlsplit(newurl).scheme
        if req.type == "https" and scheme != "https":
            raise urllib.error.URLError(
                f"it leads from https to {scheme or 'nowhere'}, which is not followed"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def opener(watch: Watch) -> urllib.request.OpenerDirector:
    """An opener for http and https alone: urllib's own reads ftp:, file: and data:, too."""
    made = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _PlainHandler(watch),
        _EncryptedHandler(watch),
        _Redirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        made.add_handler(handler)
    return made
