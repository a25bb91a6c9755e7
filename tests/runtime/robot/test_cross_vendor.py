"""The bridge with other DDS implementations, in both directions; their programs are in peers/.

They need Debian's packages cyclonedds-dev and cyclonedds-tools (0.10.2), libfastrtps-dev and libfastcdr-dev
(2.9.1), and a C and a C++ compiler. Tests without their packages are skipped with the reason.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cyclonedds", reason="cyclonedds is not installed")
pytestmark = pytest.mark.slow

PEERS = Path(__file__).parent / "peers"
DOMAIN = 50 + os.getpid() % 50
FRAMES = 20
# Settings of Cyclone 0.10; the bridge configures Cyclone 11 itself.
LOOPBACK = (
    '<CycloneDDS><Domain Id="any"><General><Interfaces><NetworkInterface name="lo"/></Interfaces>'
    "<AllowMulticast>false</AllowMulticast></General><Discovery><ParticipantIndex>auto</ParticipantIndex>"
    '<MaxAutoParticipantIndex>32</MaxAutoParticipantIndex><Peers><Peer Address="127.0.0.1"/></Peers>'
    "</Discovery>"
    '<Internal><SocketReceiveBufferSize min="1MB"/></Internal></Domain></CycloneDDS>'
)


def need(*tools, header):
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    if not Path("/usr/include", header).exists():
        pytest.skip(f"{header} is not installed")


def build(*command, cwd):
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def cyclone_peer(tmp_path_factory):
    need("idlc", "gcc", header="dds/dds.h")
    folder = tmp_path_factory.mktemp("cyclone")
    build("idlc", "-t", "-l", "c", PEERS / "ros.idl", cwd=folder)
    build("gcc", "-O1", "-I.", "-o", "peer", PEERS / "cyclone_peer.c", "ros.c", "-lddsc", cwd=folder)
    return folder / "peer"


@pytest.fixture(scope="module")
def fast_peer(tmp_path_factory):
    need("g++", header="fastdds/dds/domain/DomainParticipant.hpp")
    folder = tmp_path_factory.mktemp("fast")
    source = PEERS / "fast_peer.cpp"
    build("g++", "-O1", "-std=c++17", "-o", "peer", source, "-lfastrtps", "-lfastcdr", cwd=folder)
    return folder / "peer"


def exchange(peer, model, frame, tmp_path, domain):
    """Run the bridge and the peer concurrently; returns the lines that the peer printed."""
    height, width = frame.shape[:2]
    (tmp_path / "frame.rgb").write_bytes(frame.tobytes())
    command = [sys.executable, "-m", "fcn_edge", "robot", "bridge", "--model", model, "--threads", 1]
    command += ["--image-topic", "/camera/image_raw", "--domain", domain, "--interface", "lo"]
    command += ["--distro", "humble"]
    bridge = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        done = subprocess.run(
            [str(part) for part in (peer, domain, tmp_path / "frame.rgb", width, height, FRAMES)],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "CYCLONEDDS_URI": LOOPBACK},
        )
        bridge.send_signal(signal.SIGINT)
        out, err = bridge.communicate(timeout=30)
    finally:
        bridge.kill()
    assert bridge.returncode == 0, err
    assert done.returncode == 0, f"the peer ended with {done.returncode}: {done.stderr} / {err}"
    print(out.strip())
    return done.stdout.splitlines()


def check(lines, model, frame, frame_id):
    from fcn_edge_runtime.segmenter import Segmenter

    height, width = frame.shape[:2]
    weights = (np.arange(height * width) % 251 + 1).astype(np.uint32)
    masks = [line.split()[1:] for line in lines if line.startswith("mask ")]
    with Segmenter(model, "cpu", 1) as segmenter:
        for sec, nanosec, name, encoding, *numbers in masks:
            index = int(sec) - 1_700_000_000
            changed = frame.copy()
            changed[-1, -1, 0] = index
            labels = segmenter(changed).labels
            assert (int(nanosec), name, encoding) == (999_999_999 - index, frame_id, "mono8")
            total = int((labels.reshape(-1) * weights).sum(dtype=np.uint64) % 2**32)
            assert [int(number) for number in numbers] == [width, height, width, total]
    print(f"{len(masks)} of {FRAMES} frames came back, every one exact")
    assert len(masks) >= FRAMES // 4  # a busy machine drops older frames
    assert "info 0=class 0,1=class 1,2=class 2," in lines


def test_cyclone_dds_0_10_gets_exact_masks_and_names(cyclone_peer, model_path, frames, tmp_path):
    model = model_path("plain")
    check(exchange(cyclone_peer, model, frames[0], tmp_path, DOMAIN), model, frames[0], "cyclone_camera")


def test_fast_dds_gets_exact_masks_and_names(fast_peer, model_path, frames, tmp_path):
    model = model_path("plain")
    check(exchange(fast_peer, model, frames[0], tmp_path, DOMAIN + 50), model, frames[0], "fast_camera")
