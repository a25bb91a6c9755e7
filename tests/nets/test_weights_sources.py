"""`--weights`: a file, a URL, random or built; and building a network with them."""

import functools
import hashlib
import http.server
import threading
from pathlib import Path

import pytest
import torch

from fcn_edge import build
from fcn_edge.nets import (
    BuiltWeights,
    FileWeights,
    RandomWeights,
    UrlWeights,
    build_with_weights,
    parse_weights,
    resolve,
)
from fcn_edge_runtime.errors import CheckpointError, UsageError
from tests.runtime.recorded import Recorded

OWN = "from torch import nn\ndef build(width: int = 4):\n    return nn.Conv2d(3, width, 1)\n"


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    return f"{tmp_path}/own.py:build"


def equal(net, other):
    pairs = zip(net.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("random", RandomWeights(0)),
        ("random:7", RandomWeights(7)),
        ("built", BuiltWeights()),
        ("weights.pth", FileWeights(Path("weights.pth"))),
        ("./random", FileWeights(Path("random"))),
        ("random.pth", FileWeights(Path("random.pth"))),
    ],
)
def test_sources_are_recognized_by_their_spelling(text, expected):
    assert parse_weights(text) == expected


def test_a_url_is_known_by_its_scheme():
    weights = parse_weights("https://download.pytorch.org/net-0123abcd.pth")

    assert isinstance(weights, UrlWeights)
    assert weights.source.sha256 == "0123abcd"


@pytest.mark.parametrize("text", ["", "random:", "random:x", "random:-1", "random:1e3", f"random:{2**63}"])
def test_an_invalid_seed_is_refused(text):
    with pytest.raises(UsageError):
        parse_weights(text)


def test_a_seed_is_only_manual_seed_before_the_call(own):
    torch.manual_seed(3)
    expected = torch.nn.Conv2d(3, 4, 1)

    assert equal(build_with_weights(own, "random:3"), expected)


def test_the_seed_decides_the_weights():
    nets = [build_with_weights("fcn_tiny", f"random:{seed}") for seed in (1, 1, 2)]

    assert equal(nets[0], nets[1])
    assert not equal(nets[0], nets[2])


def test_networks_come_in_eval_mode():
    assert not build_with_weights("fcn_tiny", "random").training


def test_built_keeps_the_weights_of_the_users_callable(tmp_path):
    (tmp_path / "own.py").write_text(
        "from torch import nn\n"
        "def build():\n    net = nn.Conv2d(3, 2, 1)\n    nn.init.constant_(net.weight, 0.5)\n    return net\n"
    )

    net = build_with_weights(f"{tmp_path}/own.py:build", "built", num_classes=2)

    assert (net.weight == 0.5).all()


def test_built_is_refused_for_networks_of_the_registry():
    with pytest.raises(UsageError, match=r"random\[:SEED\]"):
        build_with_weights("fcn_tiny", "built")


def test_a_file_is_loaded_into_the_network_of_these_options(tmp_path):
    expected = build("fcn_tiny", num_classes=3, in_channels=1, width=5)
    torch.save(expected.state_dict(), tmp_path / "w.pth")

    net = build_with_weights("fcn_tiny", str(tmp_path / "w.pth"), 3, 1, {"width": "5"})

    assert equal(net, expected)


def test_a_resolved_spec_is_accepted(own):
    assert build_with_weights(resolve(own, options={"width": 6}), RandomWeights(0)).out_channels == 6


def test_a_missing_file_is_reported_before_building(tmp_path):
    (tmp_path / "own.py").write_text("def build():\n    raise RuntimeError('was called')\n")

    with pytest.raises(CheckpointError, match="no such file"):
        build_with_weights(f"{tmp_path}/own.py:build", str(tmp_path / "nowhere.pth"))


def test_a_url_is_fetched_checked_and_loaded(tmp_path, monkeypatch):
    expected = build("fcn_tiny", num_classes=2)
    torch.save(expected.state_dict(), tmp_path / "w.pth")
    digest = hashlib.sha256((tmp_path / "w.pth").read_bytes()).hexdigest()
    monkeypatch.setenv("FCN_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    recorded = Recorded()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/w.pth#sha256={digest}"
        net = build_with_weights("fcn_tiny", url, 2, progress=recorded)
        server.shutdown()

    assert equal(net, expected)
    assert recorded.summaries
