"""A model behind HTTP: the labels of `run`, for pictures and for clients of the Open Inference Protocol."""

from __future__ import annotations

import io
import json
import signal
import socket
import threading
import time

import numpy as np
import pytest
from PIL import Image

from fcn_edge_runtime import Segmenter
from tests.runtime.serving.conftest import FLOAT, serving

SMALL = np.zeros((1, 4, 4, 3), np.uint8)
INFER = "/v2/models/0.1.0-float/infer"


@pytest.fixture(scope="module")
def picture():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (48, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def labels(picture):
    with Segmenter(FLOAT, "cpu", 1) as segmenter:
        return segmenter(picture).labels


def png(picture):
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


def request_of(images, **changed):
    shape = list(images.shape)
    given = {"name": "image", "datatype": "UINT8", "shape": shape, "data": images.ravel().tolist()}
    return json.dumps({"inputs": [{**given, **changed}]}).encode()


def test_a_picture_becomes_a_png_of_its_class_ids(server, picture, labels):
    status, headers, body = server.ask("POST", "/segment", png(picture))
    assert (status, headers["content-type"]) == (200, "image/png")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(body))), labels)


def test_a_picture_becomes_an_overlay_or_shares(server, picture, labels):
    _, _, overlay = server.ask("POST", "/segment?as=overlay", png(picture))
    assert Image.open(io.BytesIO(overlay)).size == (64, 48)
    _, _, shares = server.ask("POST", "/segment?as=json", png(picture))
    found = json.loads(shares)
    assert (found["height"], found["width"]) == (48, 64)
    assert found["classes"][1]["pixels"] == (labels == 1).sum()


def test_json_of_the_protocol_gives_the_same_labels(server, picture, labels):
    status, _, body = server.ask("POST", INFER, request_of(picture[None]))
    (output,) = json.loads(body)["outputs"]
    assert (status, output["datatype"], output["shape"]) == (200, "UINT8", [1, 48, 64])
    assert output["data"] == labels.ravel().tolist()


@pytest.mark.parametrize("binary", [True, False])
def test_tritons_client_gets_the_same_labels(server, picture, labels, binary):
    client = pytest.importorskip("tritonclient.http")
    with client.InferenceServerClient(f"127.0.0.1:{server.port}") as triton:
        assert triton.is_server_live()
        assert triton.is_server_ready()
        assert triton.is_model_ready("0.1.0-float")
        assert triton.get_model_metadata("0.1.0-float")["inputs"][0]["shape"] == [-1, -1, -1, 3]
        batch = np.stack([picture, picture[::-1]])
        given = client.InferInput("image", list(batch.shape), "UINT8")
        given.set_data_from_numpy(batch, binary_data=binary)
        wanted = [client.InferRequestedOutput("labels", binary_data=binary)]
        found = triton.infer("0.1.0-float", [given], outputs=wanted, request_id="7")
        assert found.get_response()["id"] == "7"
        assert np.array_equal(found.as_numpy("labels")[0], labels)


def test_requests_of_many_sizes_at_once_get_their_own_labels(server):
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (30 + 2 * (i % 3), 40, 3), np.uint8) for i in range(12)]
    with Segmenter(FLOAT, "cpu", 1) as segmenter:
        expected = [segmenter(given).labels for given in pictures]
    found = [None] * len(pictures)

    def ask(index):
        found[index] = server.ask("POST", "/segment", png(pictures[index]))

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(pictures))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for (status, _, body), wanted in zip(found, expected, strict=True):
        assert status == 200
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(body))), wanted)


def test_the_page_and_the_paths_are_described(server):
    status, headers, page = server.ask("GET", "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b'<input id="picture" type="file"' in page
    paths = json.loads(server.ask("GET", "/openapi.json")[2])["paths"]
    for path in paths:
        assert server.ask("GET", path)[0] in (200, 405), path


def test_metrics_count_what_was_answered(server, picture):
    server.ask("POST", "/segment", png(picture))
    text = server.ask("GET", "/metrics")[2].decode()
    assert 'fcn_edge_requests_total{path="/segment",status="200"}' in text
    assert "fcn_edge_active_requests 0.0" in text
    assert "fcn_edge_network_seconds_bucket" in text


@pytest.mark.security("requests that are malformed, too large, or stop half-way", "400, 408, 413; never 500")
@pytest.mark.parametrize(
    ("status", "path", "body", "words"),
    [
        (400, "/segment", b"not a picture", "is not an image of a known format"),
        (400, "/segment", b"", "the body is empty"),
        (400, "/segment", b"\x89PNG\r\n\x1a\n" + bytes(50), "the picture"),
        (400, "/segment?as=video", b"x", "expected one of labels, overlay, json"),
        (400, "/segment", png(np.zeros((600, 600, 3), np.uint8)), "360000"),
        (413, "/segment", bytes(2_000_001), "expected at most 2000000"),
        (400, INFER, b"[[[", "is not JSON"),
        (400, INFER, b"[" * 100_000, "is not JSON"),
        (400, INFER, b"[]", "expected an object"),
        (400, INFER, b"\xff\xfe", "is not JSON"),
        (400, INFER, b'{"inputs": 5}', "expected one input"),
        (400, INFER, b'{"inputs": [5]}', "expected an object"),
        (400, INFER, request_of(SMALL, datatype="FP32"), "expected 'image'"),
        (400, INFER, request_of(SMALL, name="x"), "expected 'image'"),
        (400, INFER, request_of(SMALL, shape=[1, 4, 4, 4]), "height, width, 3"),
        (400, INFER, request_of(SMALL, shape=[1, 4, -4, 3]), "height, width, 3"),
        (400, INFER, request_of(SMALL, shape=[1, True, 4, 3]), "height, width"),
        (400, INFER, request_of(SMALL, shape=[1, 10**9, 10**9, 3]), "at most 200000"),
        (400, INFER, request_of(SMALL, data=[1, 2]), "not 48 numbers"),
        (400, INFER, request_of(SMALL, data=[[1], [2, 3]]), "not 48 numbers"),
        (400, INFER, request_of(SMALL, data=["a"] * 48), "not 48 numbers"),
        (400, INFER, request_of(SMALL, data=[256] * 48), "beyond 0 to 255"),
        (400, INFER, request_of(SMALL, data=[10**400] * 48), "not 48 numbers"),
        (400, INFER, request_of(SMALL, data=[0.5] * 48), "fractions"),
        (400, INFER, request_of(SMALL, data={}), "not 48 numbers"),
        (400, INFER, request_of(SMALL, parameters=5), "expected an object"),
        (400, INFER, request_of(SMALL, parameters={"binary_data_size": 48}), "0 bytes"),
    ],
)  # fmt: skip
def test_a_bad_request_is_refused_in_one_line(server, status, path, body, words):
    reason = server.refusal(status, path, body)
    assert words in reason
    assert "\n" not in reason


@pytest.mark.parametrize("length", ["-1", "0", "99999", "x", "9" * 5000, "1e3"])
def test_a_bad_length_of_the_header_is_refused(server, length):
    reason = server.refusal(400, INFER, b"{}", Inference_Header_Content_Length=length)
    assert "expected 1 to 2, bytes of the body" in reason


def test_a_form_is_told_to_send_the_picture_itself(server):
    assert "--data-binary" in server.refusal(
        415, "/segment", b"x", Content_Type="multipart/form-data; boundary=b"
    )


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/segment", 405)])
def test_other_paths_and_methods_are_named(server, method, path, status):
    got, _, body = server.ask(method, path)
    assert (got, "GET / shows what there is" in json.loads(body)["error"]) == (status, True)


def test_the_server_works_on_after_bad_requests(server, picture):
    for body in (b"", b"x", bytes(3_000_000)):
        server.ask("POST", "/segment", body)
    assert server.ask("POST", "/segment", png(picture))[0] == 200


def half_a_request(port):
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    client.sendall(b"POST /segment HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf")
    return client


@pytest.mark.security("requests that wait for ever, or too many at once", "408, 503 with Retry-After")
def test_slow_and_many_requests_are_bounded(picture):
    with serving("--queue", "2", "--seconds", "2") as server:
        first, second = half_a_request(server.port), half_a_request(server.port)
        time.sleep(0.3)
        status, headers, body = server.ask("POST", "/segment", png(picture))
        assert (status, headers["retry-after"]) == (503, "1")
        assert "try again" in json.loads(body)["error"]
        for client in (first, second):
            assert client.recv(1000).startswith(b"HTTP/1.1 408")
            client.close()
        half_a_request(server.port).close()  # gone before its body
        assert server.ask("POST", "/segment", png(picture))[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_after_what_runs(number):
    with serving() as server:
        connection = half_a_request(server.port)
        time.sleep(0.3)
        server.process.send_signal(number)
        time.sleep(0.3)
        connection.sendall(bytes(996))
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")  # zeros are not a picture, but were answered
        assert server.process.wait(30) == 0


def test_a_port_in_use_and_a_foreign_address_are_one_line(server, fcn_edge):
    for options in (("--port", server.port), ("--host", "203.0.113.5"), ("--host", "no.such.host.invalid")):
        done = fcn_edge("serve", FLOAT, *options)
        assert done.returncode == 2
        assert done.stderr.startswith("error: cannot listen on")
        assert done.stderr.count("\n") == 1


@pytest.mark.security("the model file of a server", "opened in a process of its own before any other")
def test_a_file_is_opened_in_a_child_before_its_self_test(monkeypatch):
    from fcn_edge_runtime import UsageError, isolation
    from fcn_edge_runtime.serving import server
    from fcn_edge_runtime.serving.options import ServeOptions

    calls = []
    for module, name in ((isolation, "open_in_child"), (server, "selftest"), (server, "_listening")):
        real = getattr(module, name)

        def called(*given, name=name, real=real, **more):
            calls.append(name)
            return real(*given, **more)

        monkeypatch.setattr(module, name, called)
    with pytest.raises(UsageError, match="cannot listen"):
        server.serve(FLOAT, ServeOptions(host="203.0.113.5", device="cpu"))
    assert calls == ["open_in_child", "selftest", "_listening"]


def test_an_output_that_the_file_does_not_offer_is_refused(fcn_edge):
    done = fcn_edge("serve", FLOAT, "--port", "0", "--outputs", "depth")
    assert done.returncode == 2
    assert "depth" in done.stderr
