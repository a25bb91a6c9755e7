"""What HTTP costs: `fcn-edge serve` beside a plain loop of a Segmenter, in turns, on this machine.

    python -m benchmarks.serving MODEL.onnx [--size 240x320] [--clients 4] [--seconds 5] [--requests 0]

Clients send frames by the binary form of the Open Inference Protocol and wait for the labels. `--requests`
then sends so many more and prints the server's memory on the way. Clients share the cores with the server, as
they do on a robot.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np

from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.session.cpu import processor_name

_ROUNDS = 3


@dataclass
class Load:
    """Clients that send one request after the other."""

    port: int
    path: str
    body: bytes
    header: int
    seconds: list[float] = field(default_factory=list)
    failed: int = 0

    def run(self, clients: int, until: float = 0.0, count: int = 0) -> float:
        """Send until a time, or so many each; returns requests a second."""
        before, start = len(self.seconds), time.perf_counter()
        threads = [threading.Thread(target=self._client, args=(until, count)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (len(self.seconds) - before) / (time.perf_counter() - start)

    def _client(self, until: float, count: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Inference-Header-Content-Length": str(self.header)}
        done = 0
        while (done < count) if count else (time.perf_counter() < until):
            start = time.perf_counter()
            connection.request("POST", self.path, self.body, headers)
            answer = connection.getresponse()
            answer.read()
            self.failed += answer.status != 200
            self.seconds.append(time.perf_counter() - start)
            done += 1
        connection.close()


def _loop(segmenter: Segmenter, frame: np.ndarray, seconds: float) -> float:
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        segmenter(frame)
        count += 1
    return count / (time.perf_counter() - start)


def _request(frame: np.ndarray) -> tuple[bytes, int]:
    shape = [1, *frame.shape]
    given = {
        "name": "image",
        "datatype": "UINT8",
        "shape": shape,
        "parameters": {"binary_data_size": frame.nbytes},
    }
    head = json.dumps({"inputs": [given], "parameters": {"binary_data_output": True}}).encode()
    return head + frame.tobytes(), len(head)


def megabytes(process: int, key: str = "VmRSS") -> float:
    """Memory of a process; `VmHWM` is its peak. 0 where the system does not report it."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return 0.0


def processor_seconds(process: int) -> float:
    """Processor time of a process so far; Linux alone reports it."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(model: str, frame: np.ndarray) -> Iterator[tuple[int, Load]]:
    """A server of its own for a model: its process, and clients that send it this frame."""
    body, header = _request(frame)
    command = [sys.executable, "-m", "fcn_edge", "serve", model, "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - our own server
        try:
            assert server.stdout is not None  # noqa: S101 - it is a pipe
            line = ""
            while not line.startswith("serve"):
                line = server.stdout.readline()
                if not line:
                    sys.exit("the server did not start")
            port, name = int(line.split()[1].rsplit(":", 1)[1]), line.split("'")[1]
            yield server.pid, Load(port, f"/v2/models/{name}/infer", body, header)
        finally:
            server.terminate()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--size", default="240x320")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--requests", type=int, default=0)
    given = parser.parse_args(arguments)
    height, width = map(int, given.size.split("x"))
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    with Segmenter(given.model, "cpu") as segmenter, served(given.model, frame) as (server, load):
        load.run(given.clients, time.perf_counter() + 1)
        load.seconds.clear()
        plain, over_http = [], []
        for _ in range(_ROUNDS):
            plain.append(_loop(segmenter, frame, given.seconds))
            over_http.append(load.run(given.clients, time.perf_counter() + given.seconds))
        ratios = [b / a for a, b in zip(plain, over_http, strict=True)]
        times = np.array(load.seconds) * 1000
        click.echo(
            f"{processor_name()}, {segmenter.card.name} at {given.size}, {given.clients} clients, "
            f"{_ROUNDS} rounds in turns"
        )
        click.echo(f"plain loop      {statistics.median(plain):8.1f} frames a second")
        click.echo(f"serve           {statistics.median(over_http):8.1f} frames a second")
        click.echo(
            f"ratio           {statistics.median(ratios):8.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        )
        click.echo(f"milliseconds    p50 {np.percentile(times, 50):.1f}, p99 {np.percentile(times, 99):.1f}")
        click.echo(f"not answered    {load.failed}")
        for part in range(4 if given.requests else 0):
            click.echo(
                f"memory after {part * given.requests // 4:>6} more requests: {megabytes(server):.0f} MB"
            )
            load.run(given.clients, count=given.requests // 4 // given.clients)
        if given.requests:
            click.echo(f"memory after {given.requests:>6} more requests: {megabytes(server):.0f} MB")


if __name__ == "__main__":
    main()
