"""The server's routes.

A request is admitted, read within limits of bytes and time, decoded and encoded in threads, and run by the
engine. Whatever a client sends, the answer is its own mistake (4xx), or that the server is busy (503).
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import FcnEdgeError, InputError
from fcn_edge_runtime.imaging.areas import areas_of
from fcn_edge_runtime.imaging.reading import picture_of
from fcn_edge_runtime.imaging.writing import encoded, labels_png
from fcn_edge_runtime.segmentation import Segmentation
from fcn_edge_runtime.segmenter import Segmenter
from fcn_edge_runtime.serving.engine import Engine
from fcn_edge_runtime.serving.inference_protocol import (
    HEADER_LENGTH,
    metadata,
    read_request,
    write_response,
)
from fcn_edge_runtime.serving.metrics import Metrics
from fcn_edge_runtime.serving.options import ServeOptions
from fcn_edge_runtime.serving.page import openapi, page

__all__ = ["application"]

_DISCARDED = 64 << 20  # bytes beyond the limit that are read before the answer
_FORMS = ("labels", "overlay", "json")


class _Refused(Exception):  # noqa: N818 - an answer, not an error of ours
    """An answer with another status than 200."""

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status, self.headers = status, headers


def application(segmenter: Segmenter, name: str, options: ServeOptions, version: str) -> Any:
    """The ASGI application that serves an open model. Its engine ends with its lifespan.

    Args:
        segmenter: the open model, which passed its self-test.
        name: of the model, in paths.
        options: the limits.
        version: of fcn-edge, for the protocol.

    Raises:
        InputError: Starlette is not installed.
    """
    return _Server(segmenter, name, options, version).application()


class _Server:
    def __init__(self, segmenter: Segmenter, name: str, options: ServeOptions, version: str) -> None:
        self._segmenter, self._name, self._options, self._version = segmenter, name, options, version
        self._card = segmenter.card
        self._engine = Engine(segmenter, options.batch)
        self._metrics = Metrics(self._card.name, segmenter.digest, segmenter.session.provider)
        self._responses = require("starlette.responses", "serving", InputError)
        self._active = 0

    def application(self) -> Any:
        starlette = require("starlette.applications", "serving", InputError)
        route = require("starlette.routing", "serving", InputError).Route
        model = f"/v2/models/{self._name}"
        routes = [
            route("/", self._page),
            route("/openapi.json", self._openapi),
            route("/metrics", self._prometheus),
            route("/segment", self._measured(self._segment, "/segment"), methods=["POST"]),
            route("/v2", self._about),
            route("/v2/health/live", self._ready),
            route("/v2/health/ready", self._ready),
        ]
        for base in (model, f"{model}/versions/1"):
            routes += [
                route(base, self._model),
                route(f"{base}/ready", self._ready),
                route(f"{base}/infer", self._measured(self._infer, f"{model}/infer"), methods=["POST"]),
            ]
        return starlette.Starlette(
            routes=routes,
            lifespan=self._lifespan,
            exception_handlers={404: self._not_here, 405: self._not_here},
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Any) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(self._engine.close)

    # What is always there

    async def _page(self, _: Any) -> Any:
        return self._responses.HTMLResponse(page(self._card, self._name))

    async def _openapi(self, _: Any) -> Any:
        return self._responses.JSONResponse(openapi(self._card, self._name, self._version, self._options))

    async def _prometheus(self, _: Any) -> Any:
        return self._responses.Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def _about(self, _: Any) -> Any:
        return self._responses.JSONResponse(
            {"name": "fcn-edge", "version": self._version, "extensions": ["binary_tensor_data"]}
        )

    async def _ready(self, _: Any) -> Any:
        """The self-test passed before the server listened."""
        return self._responses.JSONResponse({"live": True, "ready": True, "name": self._name})

    async def _model(self, _: Any) -> Any:
        return self._responses.JSONResponse(metadata(self._name, self._card, self._segmenter.outputs))

    # Requests that take work

    async def _segment(self, request: Any) -> Any:
        form = request.query_params.get("as", "labels")
        if form not in _FORMS:
            raise _Refused(400, f"as={form[:40]!r}, expected one of {', '.join(_FORMS)}")
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise _Refused(
                415, "got a form, expected the picture itself as the body (curl --data-binary @FILE)"
            )
        body = await self._body(request)
        picture = await asyncio.to_thread(
            picture_of, io.BytesIO(body), "the picture", self._card.input, self._options.max_pixels
        )
        result = await self._run(picture.pixels[None])
        one = _first(result)
        if form == "json":
            return self._responses.JSONResponse(self._described(one))
        make = self._overlay if form == "overlay" else self._labels
        return self._responses.Response(
            await asyncio.to_thread(make, one, picture.shown), media_type="image/png",
            headers={"x-network-milliseconds": f"{one.milliseconds:.3f}"},
        )  # fmt: skip

    async def _infer(self, request: Any) -> Any:
        body = await self._body(request)
        asked = await asyncio.to_thread(
            read_request, body, request.headers.get(HEADER_LENGTH), self._card, self._segmenter.outputs,
            self._options.max_pixels,
        )  # fmt: skip
        result = await self._run(asked.images)
        arrays = {name: np.asarray(getattr(result, name)) for name, _ in asked.outputs}
        content, headers = await asyncio.to_thread(write_response, self._name, asked, arrays)
        return self._responses.Response(content, headers=headers)

    async def _run(self, images: np.ndarray) -> Segmentation:
        result = await asyncio.wrap_future(self._engine.submit(images))
        self._metrics.segmented(result)
        return result

    def _labels(self, result: Segmentation, _: np.ndarray) -> bytes:
        return labels_png(result.labels, self._card)

    def _overlay(self, result: Segmentation, shown: np.ndarray) -> bytes:
        return encoded(result.overlay(shown))

    def _described(self, result: Segmentation) -> dict[str, Any]:
        height, width = result.labels.shape
        return {
            "model": self._card.name,
            "height": height,
            "width": width,
            "milliseconds": round(result.milliseconds, 3),
            "classes": [asdict(area) for area in areas_of(result.labels, self._card)],
        }

    # Admission, limits and errors

    def _measured(
        self, handler: Callable[[Any], Awaitable[Any]], path: str
    ) -> Callable[[Any], Awaitable[Any]]:
        async def measured(request: Any) -> Any:
            start = time.perf_counter()
            try:
                with self._admitted():
                    response = await handler(request)
            except _Refused as refused:
                response = self._error(refused.status, str(refused), refused.headers)
            except InputError as error:
                response = self._error(400, str(error), {})
            except FcnEdgeError as error:  # the device failed: not the client's mistake
                response = self._error(503, str(error), {"retry-after": "5"})
            self._metrics.answered(path, response.status_code, time.perf_counter() - start)
            return response

        return measured

    @contextlib.contextmanager
    def _admitted(self) -> Iterator[None]:
        if self._active >= self._options.queue:
            raise _Refused(
                503, f"{self._active} requests are read, wait or run: try again", **{"retry-after": "1"}
            )
        self._active += 1
        self._metrics.active.set(self._active)
        try:
            yield
        finally:
            self._active -= 1
            self._metrics.active.set(self._active)

    async def _body(self, request: Any) -> bytes:
        """The whole body, within the limits."""
        try:
            return await asyncio.wait_for(_read(request, self._options.max_bytes), self._options.seconds)
        except asyncio.TimeoutError:
            raise _Refused(
                408, f"the body was not there within {self._options.seconds:g} s", connection="close"
            ) from None

    async def _not_here(self, _: Any, error: Any) -> Any:
        words = {404: "there is nothing here", 405: "this path takes another method"}[error.status_code]
        return self._error(
            error.status_code, f"{words}: GET / shows what there is", dict(error.headers or {})
        )

    def _error(self, status: int, reason: str, headers: dict[str, str]) -> Any:
        return self._responses.Response(
            json.dumps({"error": reason}), status, headers=headers, media_type="application/json"
        )


async def _read(request: Any, most: int) -> bytes:
    declared = request.headers.get("content-length", "")
    size = int(declared[:20]) if declared.isdecimal() else 0
    parts: list[bytes] = []
    disconnected = require("starlette.requests", "serving", InputError).ClientDisconnect
    try:
        got = 0
        async for part in request.stream():
            got += len(part)
            if max(got, size) <= most:
                parts.append(part)
            elif got > most + _DISCARDED:
                break
            else:  # who still sends does not read the answer: the rest is taken, but not kept
                parts.clear()
    except disconnected:
        raise _Refused(400, "the request stopped half-way") from None
    size = max(got, size)
    if size > most:
        raise _Refused(413, f"the body has {size} bytes or more, expected at most {most}", connection="close")
    if not size:
        raise _Refused(400, "the body is empty, expected a picture or an inference request")
    return b"".join(parts)


def _first(result: Segmentation) -> Segmentation:
    """The first image of a batch."""
    arrays = {name: getattr(result, name) for name in ("labels", "confidence", "probabilities", "logits")}
    return replace(result, **{name: array[0] for name, array in arrays.items() if array is not None})
