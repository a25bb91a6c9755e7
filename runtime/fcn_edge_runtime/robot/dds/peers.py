"""Addresses of peers, resolved before Cyclone gets them: it ends the process where it cannot resolve one."""

from __future__ import annotations

import os
import re
import socket
import threading

from fcn_edge_runtime._text import printable
from fcn_edge_runtime.errors import InputError, UsageError

__all__ = ["resolved"]

_SECONDS = 10.0  # for a name server
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9._-]{1,253}))(?::([0-9]{1,5}))?")
_SHOWN = 100  # characters


def resolved(peer: str) -> str:
    """A peer such as "robot.local" or "10.0.0.7:7410" with the number of its address.

    IPv4; IPv6 where CYCLONEDDS_URI asks for it (udp6).

    Raises:
        UsageError: it is not a host, with or without a port.
        InputError: the host cannot be resolved.
    """
    shown = printable(peer, _SHOWN)
    match = _ADDRESS.fullmatch(peer)
    if match is None or (match[3] and not 1 <= int(match[3]) <= 65535):
        raise UsageError(
            f"the peer is '{shown}', expected a host or HOST:PORT, such as 10.0.0.7 or robot.local"
        )
    six = "udp6" in os.environ.get("CYCLONEDDS_URI", "")
    number = _looked_up(match[1] or match[2], socket.AF_INET6 if six else socket.AF_INET)
    if isinstance(number, OSError):
        kind = "IPv6" if six else "IPv4"
        raise InputError(
            f"the peer {shown} has no {kind} address ({number.strerror or number}): check the name, or give "
            "the number"
        )
    return (f"[{number}]" if six else number) + (f":{match[3]}" if match[3] else "")


def _looked_up(host: str, family: socket.AddressFamily) -> str | OSError:
    """The first address, looked up in a thread: the system's own look-up cannot be interrupted."""
    found: list[str | OSError] = []

    def look_up() -> None:
        try:
            found.append(str(socket.getaddrinfo(host, None, family, socket.SOCK_DGRAM)[0][4][0]))
        except (OSError, UnicodeError) as error:
            found.append(error if isinstance(error, OSError) else OSError(str(error)))

    thread = threading.Thread(target=look_up, name="look up", daemon=True)
    thread.start()
    thread.join(_SECONDS)
    return found[0] if found else OSError(f"no answer for {_SECONDS:g} s")
