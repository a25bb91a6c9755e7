"""Notifies systemd that the service is alive (sd_notify); does nothing outside of systemd.

Protocol: sd_notify(3), a datagram to the socket in NOTIFY_SOCKET. READY=1 once the model is open and the node
has joined the graph, WATCHDOG=1 while frames are processed, STOPPING=1 at the end.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time

__all__ = ["Watchdog"]


class Watchdog:
    """Sends to the socket in NOTIFY_SOCKET; notifies three times per interval of WATCHDOG_USEC."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        interval = os.environ.get("WATCHDOG_USEC", "")
        self._period = int(interval) / 3e6 if interval.isdecimal() else 1.0
        self._next = 0.0

    def ready(self) -> None:
        """Report that the service is up."""
        self._send("READY=1")

    def beat(self, status: str = "") -> None:
        """Report that the service is alive. Cheap to call often."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._period
            self._send("WATCHDOG=1" + (f"\nSTATUS={status}" if status else ""))

    def stopping(self) -> None:
        """Report that the service is shutting down as requested."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        # A leading @ stands for the NUL byte of an abstract socket.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(text.encode("utf-8", "replace"), address)
