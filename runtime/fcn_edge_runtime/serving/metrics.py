"""Counters for Prometheus, of one server."""

from __future__ import annotations

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.segmentation import Segmentation

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """What was asked and answered, and how long it took."""

    def __init__(self, model: str, digest: str, provider: str) -> None:
        client = require("prometheus_client", "serving", InputError)
        self._client = client
        self._registry = client.CollectorRegistry()
        self._requests = client.Counter(
            "fcn_edge_requests_total",
            "Requests by path and status.",
            ["path", "status"],
            registry=self._registry,
        )
        self._seconds = client.Histogram(
            "fcn_edge_request_seconds", "From a request's start to its answer.", ["path"],
            buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip
        self._network = client.Histogram(
            "fcn_edge_network_seconds",
            "The network's time for each image.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._images = client.Counter(
            "fcn_edge_images_total", "Images that were segmented.", registry=self._registry
        )
        self._pixels = client.Counter("fcn_edge_pixels_total", "Pixels of them.", registry=self._registry)
        self.active = client.Gauge(
            "fcn_edge_active_requests", "Requests that are read, wait or run.", registry=self._registry
        )
        about = client.Info("fcn_edge_model", "The model that is served.", registry=self._registry)
        about.info({"name": model, "sha256": digest, "provider": provider})

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def segmented(self, result: Segmentation) -> None:
        """Count the images of a result."""
        count = len(result.labels)
        self._images.inc(count)
        self._pixels.inc(result.labels.size)
        for _ in range(count):
            self._network.observe(result.milliseconds / count / 1000)

    def text(self) -> bytes:
        """All of them as Prometheus reads them."""
        found: bytes = self._client.generate_latest(self._registry)
        return found
