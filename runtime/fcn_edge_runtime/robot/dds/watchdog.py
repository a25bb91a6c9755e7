"""Telling systemd that a service lives (sd_notify): a datagram to the socket it names, elsewhere nothing.

Protocol: sd_notify(3). READY=1 once the model is open and the graph joined, WATCHDOG=1 while frames are being
worked on, STOPPING=1 at the end.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time

__all__ = ["Watchdog"]


class Watchdog:
    """Sends to the socket in NOTIFY_SOCKET; beats three times in the interval that systemd asks for."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        interval = os.environ.get("WATCHDOG_USEC", "")
        self._period = int(interval) / 3e6 if interval.isdecimal() else 1.0
        self._next = 0.0

    def ready(self) -> None:
        """The service is up."""
        self._send("READY=1")

    def beat(self, status: str = "") -> None:
        """The service lives. Cheap to call often."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._period
            self._send("WATCHDOG=1" + (f"\nSTATUS={status}" if status else ""))

    def stopping(self) -> None:
        """The service ends because it was told to."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        # A leading @ names an abstract socket, which has a NUL there.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(text.encode("utf-8", "replace"), address)
