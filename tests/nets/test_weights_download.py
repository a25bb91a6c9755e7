"""Weights by URL, from a real server on loopback: checked, cached, and nothing left after a failure."""

import contextlib
import hashlib
import http.server
import threading

import pytest

from fcn_edge.nets.weights.download import cache_folder, fetch, parse_url
from fcn_edge_runtime.errors import CheckpointError, UsageError
from tests.runtime.recorded import Recorded

CONTENT = bytes(range(256)) * 12_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT in the way named by the first part of the path."""

    def do_GET(self):
        self.server.asked.append(self.path)
        way = self.path.split("/")[1]
        if way == "missing":
            self.send_error(404)
            return
        if way == "elsewhere":
            self.send_response(302)
            self.send_header("Location", "/plain/" + self.path.split("/")[2])
            self.end_headers()
            return
        if way == "inside":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
            return
        self.send_response(200)
        if way == "huge":
            self.send_header("Content-Length", str(1 << 50))
        elif way != "unsized":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        # A client that refuses the file closes the connection early.
        with contextlib.suppress(ConnectionError):
            self.wfile.write(CONTENT[: len(CONTENT) // 2] if way == "cut" else CONTENT)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.asked = []
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield httpd
        httpd.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FCN_EDGE_CACHE", str(tmp_path / "cache"))
    # Not through a proxy of the machine that runs the tests.
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def url(server):
    def make(way, name=f"net-{DIGEST[:8]}.pth"):
        return f"http://127.0.0.1:{server.server_port}/{way}/{name}"

    return make


def refusal(url, **options):
    with pytest.raises(CheckpointError) as caught:
        fetch(parse_url(url), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_fetched_with_progress_into_the_cache(url, cache):
    recorded = Recorded()

    path = fetch(parse_url(url("plain")), recorded)

    assert path == cache / f"net-{DIGEST[:8]}.pth"
    assert path.read_bytes() == CONTENT
    assert recorded.stages == [("fetch", len(CONTENT), "B")]
    assert recorded.advances[-1] == (len(CONTENT), len(CONTENT))
    assert len(recorded.advances) >= 2
    assert recorded.summaries == [f"{len(CONTENT) / 1e6:.1f} MB from 127.0.0.1"]
    assert [file.name for file in cache.iterdir()] == [path.name]


def test_the_second_time_the_server_gets_no_request(url, server):
    fetch(parse_url(url("plain")))
    before = len(server.asked)

    fetch(parse_url(url("plain")))

    assert len(server.asked) == before


def test_a_damaged_file_in_the_cache_is_fetched_again(url):
    fetch(parse_url(url("plain"))).write_bytes(b"damaged")

    assert fetch(parse_url(url("plain"))).read_bytes() == CONTENT


@pytest.mark.parametrize("way", ["unsized", "elsewhere"])
def test_servers_may_redirect_and_omit_the_size(url, way):
    recorded = Recorded()

    path = fetch(parse_url(url(way)), recorded)

    assert path.read_bytes() == CONTENT
    assert recorded.advances[-1] == (len(CONTENT), None if way == "unsized" else len(CONTENT))


def test_the_hash_may_be_in_the_fragment_or_an_argument(url, cache):
    plain = url("plain", "net.pth")

    by_fragment = fetch(parse_url(f"{plain}#sha256={DIGEST.upper()}"))
    by_argument = fetch(parse_url(plain, DIGEST))

    assert by_fragment == by_argument == cache / f"net-{DIGEST[:8]}.pth"


@pytest.mark.security("a download that breaks off", "refused, no file left")
@pytest.mark.parametrize("way", ["cut", "missing", "huge"])
def test_a_download_that_fails_leaves_no_file(url, cache, way):
    message = refusal(url(way))

    assert {"cut": "was cut off after", "missing": "404", "huge": "longer than"}[way] in message
    assert list(cache.iterdir()) == []


@pytest.mark.security("a download with another hash", "refused, no file left")
def test_another_hash_is_refused_and_leaves_no_file(url, cache):
    message = refusal(url("plain", "net-00000000.pth"))

    assert f"has SHA-256 {DIGEST[:8]}, expected 00000000" in message
    assert list(cache.iterdir()) == []


def test_a_failed_download_keeps_the_old_file(url, cache):
    cache.mkdir()
    (cache / "net-00000000.pth").write_bytes(b"older")

    refusal(url("plain", "net-00000000.pth"))

    assert (cache / "net-00000000.pth").read_bytes() == b"older"


def test_a_file_over_the_size_limit_is_not_kept(url, cache):
    assert "longer than 1,000 bytes" in refusal(url("unsized"), largest=1000)
    assert list(cache.iterdir()) == []


@pytest.mark.security("a redirect to `file:`", "not followed")
def test_a_redirect_to_a_local_file_is_not_followed(url):
    assert "could not be fetched" in refusal(url("inside"))


def test_offline_the_message_names_the_place_for_the_file(cache):
    message = refusal("http://127.0.0.1:9/net-0123abcd.pth")

    assert str(cache / "net-0123abcd.pth") in message
    assert "refused" in message


def test_a_file_placed_by_hand_is_used_without_a_network(cache):
    cache.mkdir()
    (cache / f"net-{DIGEST[:8]}.pth").write_bytes(CONTENT)

    assert fetch(parse_url(f"http://127.0.0.1:9/net-{DIGEST[:8]}.pth")).read_bytes() == CONTENT


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FCN_EDGE_CACHE", str(tmp_path / "file" / "cache"))

    assert "FCN_EDGE_CACHE" in refusal("http://127.0.0.1:9/net-0123abcd.pth")


def test_without_the_variable_the_cache_is_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("FCN_EDGE_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert cache_folder() == tmp_path / ".cache" / "fcn-edge"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/net-0123abcd.pth", "only over http or https"),
        ("file:///etc/passwd", "only over http or https"),
        ("http:///net-0123abcd.pth", "only over http or https"),
        ("http://host:port/net-0123abcd.pth", "not a valid URL"),
        ("http://host/net.pth", "no SHA-256 to check it against"),
        ("http://host/net.pth#sha256=xyz", "no SHA-256 to check it against"),
    ],
)
def test_a_url_that_cannot_be_checked_gets_no_request(url, message):
    with pytest.raises(UsageError) as caught:
        parse_url(url)

    assert message in str(caught.value)


def test_passwords_and_keys_in_a_url_are_not_shown():
    message = refusal("http://me:secret@127.0.0.1:9/net-0123abcd.pth?key=hidden")

    assert "secret" not in message
    assert "hidden" not in message


@pytest.mark.security("a URL whose name leads out of the cache", "a plain name in the cache")
@pytest.mark.parametrize(
    "name", ["..%2F..%2Fevil-0123abcd.pth", ".hidden-0123abcd.pth", "a%00b-0123abcd.pth"]
)
def test_no_name_leaves_the_cache_folder(name):
    file_name = parse_url(f"http://host/{name}").file_name

    assert "/" not in file_name
    assert not file_name.startswith(".")
    assert file_name.endswith("-0123abcd.pth")
