"""Weights by URL, from a real server on loopback: checked, cached, and nothing left after a failure."""

import contextlib
import hashlib
import http.server
import ssl
import subprocess
import threading
import time

import pytest

from fcn_edge._cache import cache_folder
from fcn_edge.nets.weights.connection import Patience
from fcn_edge.nets.weights.download import check_hash, fetch, parse_url
from fcn_edge_runtime.errors import CheckpointError, UsageError
from tests.runtime.recorded import Recorded

CONTENT = bytes(range(256)) * 12_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
OTHER = "0" * 64


LEADS = {
    "malformed": "http://[::1",
    "port": "http://127.0.0.1:99999/x",
    "ftp": "ftp://127.0.0.1/x",
    "data": "data:,hello",
    "nowhere": "http:///x",
    "loop": "/loop/net.pth",
    "control": "http://127.0.0.1/\x01\x7f",
    "name": "http://a..b/",
}
SLOW = Patience(answer=0.5, total=3, rate=1000, window=0.5)


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT in the way named by the first part of the path."""

    def do_GET(self):
        self.server.asked.append(self.path)
        _, way, name = self.path.split("/")
        leads = {"elsewhere": f"/plain/{name}", "inside": "file:///etc/hostname", **LEADS}
        if way == "missing":
            self.send_error(404)
        elif way in leads:
            self.send_response(302)
            self.send_header("Location", leads[way])
            self.end_headers()
        elif way == "slow-head":
            self.trickle(b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 200)
        else:
            self.send_response(200)
            length = {"huge": 1 << 50, "odd-size": "\u00b2"}.get(way, len(CONTENT))
            if way != "unsized":
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.send(way)

    def send(self, way):
        if way == "trickle":
            self.trickle(CONTENT)
            return
        # A client that refuses the file closes the connection early.
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            self.wfile.write(CONTENT[: len(CONTENT) // 2] if way == "cut" else CONTENT)

    def trickle(self, data):
        with contextlib.suppress(OSError):
            for byte in data[:400]:
                self.wfile.write(bytes([byte]))
                time.sleep(0.05)

    def log_message(self, *_):
        """Say nothing."""


def serve(httpd):
    """The server, which answers in a thread of its own until it is given back."""
    httpd.asked = []
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield httpd
    httpd.shutdown()
    thread.join()


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        yield from serve(httpd)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FCN_EDGE_CACHE", str(tmp_path / "cache"))
    # Not through a proxy of the machine that runs the tests.
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def url(server):
    def make(way, name="net.pth", digest=DIGEST):
        return f"http://127.0.0.1:{server.server_port}/{way}/{name}#sha256={digest}"

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
    assert recorded.summaries == [f"{len(CONTENT) / 1e6:.1f} MB from 127.0.0.1, SHA-256 matches"]
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
    plain = url("plain").partition("#")[0]

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
    message = refusal(url("plain", digest=OTHER))

    assert f"has SHA-256 {DIGEST}, expected {OTHER}" in message
    assert list(cache.iterdir()) == []


def test_a_failed_download_keeps_the_old_file(url, cache):
    cache.mkdir()
    (cache / "net-00000000.pth").write_bytes(b"older")

    refusal(url("plain", digest=OTHER))

    assert (cache / "net-00000000.pth").read_bytes() == b"older"


def test_a_file_over_the_size_limit_is_not_kept(url, cache):
    assert "longer than 1,000 bytes" in refusal(url("unsized"), largest=1000)
    assert list(cache.iterdir()) == []


@pytest.mark.security("a redirect to `file:`", "not followed")
def test_a_redirect_to_a_local_file_is_not_followed(url):
    assert "could not be fetched" in refusal(url("inside"))


@pytest.mark.security("redirects to other schemes, from https to http, malformed", "not followed, one line")
@pytest.mark.parametrize("way", LEADS)
def test_a_redirect_that_leads_nowhere_is_one_line(url, cache, way):
    assert "could not be fetched" in refusal(url(way))
    assert list(cache.iterdir()) == []


@pytest.fixture
def encrypted(tmp_path, monkeypatch):
    """A server for https, with a certificate that is trusted here."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no openssl that makes a certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
        yield from serve(httpd)


@pytest.mark.security("redirects to other schemes, from https to http, malformed", "not followed, one line")
def test_https_does_not_lead_to_http(encrypted, url, monkeypatch):
    address = f"https://127.0.0.1:{encrypted.server_port}"
    assert fetch(parse_url(f"{address}/plain/net.pth", DIGEST)).read_bytes() == CONTENT
    monkeypatch.setitem(LEADS, "down", url("plain").partition("#")[0])

    message = refusal(f"{address}/down/net.pth#sha256={OTHER}")

    assert "it leads from https to http, which is not followed" in message


@pytest.mark.security("a download without end, or a byte now and then", "refused in time, no file left")
@pytest.mark.parametrize(
    ("way", "reason"),
    [("trickle", "bytes a second, expected 1000"), ("slow-head", "no answer within 0.5 s")],
)
def test_a_server_that_is_too_slow_is_refused_in_time(url, cache, way, reason):
    begin = time.monotonic()
    assert reason in refusal(url(way), patience=SLOW)
    assert time.monotonic() - begin < 3
    assert list(cache.iterdir()) == []


def test_a_download_has_a_total_time(url):
    patience = Patience(answer=5, total=0.5, rate=0, window=9)
    assert "not done within 0.5 s" in refusal(url("trickle"), patience=patience)


def test_a_length_that_is_no_number_is_ignored(url):
    assert fetch(parse_url(url("odd-size"))).read_bytes() == CONTENT


def test_a_short_hash_is_called_what_it_is():
    source = parse_url("https://download.pytorch.org/models/net-0123abcd.pth")
    assert source.matched == "matches the short hash in its name (32 bits)"


def test_the_hash_of_a_file_of_yours_is_checked(tmp_path):
    (tmp_path / "w.pth").write_bytes(CONTENT)
    check_hash(tmp_path / "w.pth", DIGEST.upper())
    with pytest.raises(CheckpointError, match=f"have SHA-256 {DIGEST}, expected 000"):
        check_hash(tmp_path / "w.pth", OTHER)


def test_offline_the_message_names_the_place_for_the_file(cache):
    message = refusal(f"http://127.0.0.1:9/net.pth#sha256={OTHER}")

    assert str(cache / "net-00000000.pth") in message
    assert "refused" in message


def test_a_file_placed_by_hand_is_used_without_a_network(cache):
    cache.mkdir()
    (cache / f"net-{DIGEST[:8]}.pth").write_bytes(CONTENT)

    assert fetch(parse_url("http://127.0.0.1:9/net.pth", DIGEST)).read_bytes() == CONTENT


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FCN_EDGE_CACHE", str(tmp_path / "file" / "cache"))

    assert "FCN_EDGE_CACHE" in refusal(f"http://127.0.0.1:9/net.pth#sha256={OTHER}")


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
        ("http://host/net.pth#sha256=xyz", "has 3 characters, expected 64 hex digits"),
        ("https://host/net-0123abcd.pth", "only 8 hex digits of SHA-256 to check it against"),
        ("http://download.pytorch.org/net-0123abcd.pth", "only 8 hex digits"),
        ("https://download.pytorch.org.host/net-0123abcd.pth", "only 8 hex digits"),
    ],
)
def test_a_url_that_cannot_be_checked_gets_no_request(url, message):
    with pytest.raises(UsageError) as caught:
        parse_url(url)

    assert message in str(caught.value)


def test_passwords_and_keys_in_a_url_are_not_shown():
    message = refusal(f"http://me:secret@127.0.0.1:9/net.pth?key=hidden#sha256={OTHER}")

    assert "secret" not in message
    assert "hidden" not in message


@pytest.mark.security("a URL whose name leads out of the cache", "a plain name in the cache")
@pytest.mark.parametrize(
    "name", ["..%2F..%2Fevil-0123abcd.pth", ".hidden-0123abcd.pth", "a%00b-0123abcd.pth"]
)
def test_no_name_leaves_the_cache_folder(name):
    file_name = parse_url(f"https://download.pytorch.org/{name}").file_name

    assert "/" not in file_name
    assert not file_name.startswith(".")
    assert file_name.endswith("-0123abcd.pth")
