from __future__ import annotations

import contextlib
import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import fcn_edge

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

__all__ = ["FLOAT", "fcn_edge", "server", "serving"]

FLOAT = Path(__file__).parents[2] / "artifacts" / "0.1.0-float.onnx"


class Server:
    """A running `fcn-edge serve`."""

    def __init__(self, process, port):
        self.process, self.port = process, port

    def ask(self, method, path, body=None, **headers):
        """Status, headers and body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            named = {key.replace("_", "-"): value for key, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def refusal(self, status, path, body, **headers):
        """The reason of an answer, which must have this status."""
        got, _, content = self.ask("POST", path, body, **headers)
        assert got == status, content
        return json.loads(content)["error"]

    def end(self, number=signal.SIGTERM):
        """The exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)


@contextlib.contextmanager
def serving(*options):
    """Starts a server on a free port, and ends it."""
    command = [sys.executable, "-m", "fcn_edge", "serve", FLOAT, "--port", "0", "--device", "cpu", *options]
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            line = ""
            while not line.startswith("serve"):
                line = process.stdout.readline()
                assert line, process.stderr.read()
            yield Server(process, int(line.split()[1].rsplit(":", 1)[1]))
        finally:
            process.terminate()
            try:
                process.wait(30)
            finally:
                process.kill()
                process.stdout.read()
                assert "Traceback" not in process.stderr.read()


@pytest.fixture(scope="module")
def server():
    with serving("--outputs", "labels", "--max-pixels", "200000", "--max-bytes", "2000000") as running:
        yield running
