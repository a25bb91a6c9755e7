"""What a server takes."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from fcn_edge_runtime.errors import UsageError

__all__ = ["ServeOptions"]


@dataclass(frozen=True)
class ServeOptions:
    """How a model is served.

    Attributes:
        host: the address to listen on; this machine alone unless another is named.
        port: to listen on; 0 takes a free one.
        device: as for `Segmenter`.
        threads: as for `Segmenter`.
        outputs: what the network computes, `labels` always.
        max_pixels: of a picture or a batch; larger ones are refused before they are decoded.
        max_bytes: of a request's body.
        queue: requests that may be read, wait or run at once; the next ones are answered 503.
        batch: images of one size that may run together.
        seconds: in which a request's body must be there.

    Raises:
        UsageError: a number is out of range.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    device: str = "auto"
    threads: int | None = None
    outputs: tuple[str, ...] = ("labels",)
    max_pixels: int = 4096 * 4096
    max_bytes: int = 32 << 20
    queue: int = 16
    batch: int = 8
    seconds: float = 30.0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("port", 0, 65535),
            ("max_pixels", 1, 1 << 31),
            ("max_bytes", 1, 1 << 31),
            ("queue", 1, 10_000),
            ("batch", 1, 256),
            ("seconds", 0.1, 86_400),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise UsageError(f"{name} is {value}, expected {least} to {most}")

    @property
    def is_local(self) -> bool:
        """Whether other machines cannot connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
