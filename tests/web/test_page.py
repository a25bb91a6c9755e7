"""The page of `fcn-edge web` in Chromium: its labels are compared with the Python runtime's."""

from __future__ import annotations

import functools
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fcn_edge.web.site import write_site
from fcn_edge_runtime.imaging.reading import read_image
from fcn_edge_runtime.model.card import ClassInfo
from fcn_edge_runtime.segmenter import Segmenter
from tests.runtime import make_models

from .conftest import ROOT

pytestmark = pytest.mark.slow

GOOD = ROOT / "tests/artifacts/0.1.0-float.onnx"
ARTIFACTS = ROOT / "tests/artifacts"
FRAMES = sorted((ROOT / "models/corridor/heldout/images").glob("*"))[:10]
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
SOFTWARE_GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]


@pytest.fixture(scope="module")
def serve():
    """Serves a folder on a port of this machine; returns the address."""
    servers = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    def start(folder):
        handler = functools.partial(Quiet, directory=str(folder))
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/"

    yield start
    for server in servers:
        server.shutdown()


@pytest.fixture
def visit(node, packages, serve, tmp_path):
    """Opens a model's page and does the steps; returns what it said after each, without any complaint."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    package = packages / "onnxruntime-web"

    def run(model, steps, *, samples=(), site=None, query="", **request):
        site = site or write_site(model, tmp_path / "site", samples, package).page.parent
        request |= {"chromium": chromium, "url": serve(site) + query, "steps": steps}
        path = tmp_path / "request.json"
        path.write_text(json.dumps(request))
        [answer] = node("page.mjs", path)
        assert answer["complaints"] == []
        return answer["answers"]

    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The corridor model, exported."""
    path = tmp_path_factory.mktemp("trained") / "corridor.onnx"
    command = [sys.executable, "-m", "fcn_edge", "export", "corridor", "-o", path, "--quiet"]
    subprocess.run(command, check=True, capture_output=True)
    return path


def labels_in(path):
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(np.uint16)
    wide = (pixels[..., 0] != pixels[..., 1]).any()
    return pixels[..., 0] + 256 * pixels[..., 1] if wide else pixels[..., 0]


def different(visit, tmp_path, model, frames, **request):
    """Of each picture, how many labels on the page are not Python's."""
    segmenter = Segmenter(model, device="cpu")
    steps = []
    for number, frame in enumerate(frames):
        steps += [["picture", str(frame)], ["save", ["#save-labels", str(tmp_path / f"{number}.png")]]]
    answers = visit(model, steps, **request)
    assert [answer["error"] for answer in answers] == [None] * (1 + len(steps))
    counts = []
    for number, frame in enumerate(frames):
        expected = segmenter(read_image(frame, segmenter.card.input)).labels
        counts.append(int((labels_in(tmp_path / f"{number}.png") != expected).sum()))
    return counts


def test_ten_pictures_have_pythons_labels(visit, tmp_path, trained):
    assert len(FRAMES) == 10
    assert different(visit, tmp_path, trained, FRAMES) == [0] * 10


@pytest.mark.parametrize("name", ["int8", "padded", "sparse", "binary", "uint16"])
def test_every_kind_of_file_has_pythons_labels(visit, tmp_path, name):
    assert different(visit, tmp_path, ARTIFACTS / f"0.1.0-{name}.onnx", FRAMES[:2]) == [0, 0]


def test_three_hundred_classes_are_saved_whole(visit, tmp_path):
    # Without training, two of so many scores may differ by one rounding: such a pixel is nobody's error.
    assert different(visit, tmp_path, ARTIFACTS / "0.1.0-300-classes.onnx", FRAMES[:1])[0] <= 2


def test_a_gpu_that_is_asked_for_is_used(visit, tmp_path):
    request = {"query": "?device=webgpu", "flags": SOFTWARE_GPU}
    [count] = different(visit, tmp_path, GOOD, FRAMES[:1], **request)
    assert count <= 20
    [answer] = visit(GOOD, [], **request)
    assert answer["facts"]["Device"] == "GPU (WebGPU); requested"
    assert answer["facts"]["Self-test"].startswith("passed: ")


def test_a_gpu_in_software_is_not_chosen(visit):
    [answer] = visit(GOOD, [], flags=SOFTWARE_GPU)
    assert answer["facts"]["Device"] == "CPU (WebAssembly); auto: WebGPU runs in software here, without a GPU"


def test_a_gpu_that_is_not_there_is_an_error(visit):
    [answer] = visit(GOOD, [], query="?device=webgpu")
    assert "the device 'webgpu' is in this onnxruntime but does not start" in answer["error"]


def test_a_page_says_what_it_runs_and_finds(visit):
    start, after = visit(GOOD, [["picture", str(FRAMES[0])]])
    assert start["facts"]["Device"].startswith("CPU (WebAssembly); auto: there is no WebGPU here")
    assert start["facts"]["Self-test"].startswith("passed: 14,854 pixels as PyTorch decided them")
    assert start["facts"]["Cold start"].endswith(" s")
    assert after["facts"]["Picture"].startswith("320 x 240 pixels, ")
    shares = [float(share) for share in re.findall(r" ([\d.]+) %", "\n".join(after["shares"]))]
    assert sum(shares) == pytest.approx(100, abs=0.3)


def test_a_damaged_model_is_one_line_on_the_page(visit, packages, tmp_path):
    site = write_site(GOOD, tmp_path / "site", (), packages / "onnxruntime-web").page.parent
    model = site / "model.onnx"
    model.write_bytes(model.read_bytes().replace(b"Conv", b"Conw", 1))
    [answer] = visit(GOOD, [], site=site)
    assert answer["controls"] == 0
    assert answer["error"] == (
        "model.onnx was changed after export, or is damaged (its seal does not match): export again, or "
        "`fcn-edge verify --reseal`"
    )


def test_a_wrong_self_test_refuses_the_page(visit, tmp_path):
    make_models.build("plain_wrong", tmp_path / "model.onnx")
    [answer] = visit(tmp_path / "model.onnx", [])
    assert answer["controls"] == 0
    assert answer["error"].startswith("the self-test failed on wasm: at 2x64x96, ")


def test_the_page_goes_on_after_bad_pictures(visit, tmp_path):
    large, text = tmp_path / "large.png", tmp_path / "text.png"
    Image.new("RGB", (5000, 4000)).save(large)
    text.write_text("not a picture")
    _, first, second, good = visit(GOOD, [["picture", str(p)] for p in (large, text, FRAMES[0])])
    assert first["error"] == (
        "the image has 20000000 pixels, expected at most 16000000: make it smaller, or raise maxPixels if "
        "memory allows"
    )
    assert second["error"] == (
        "the browser cannot read this picture, expected PNG, JPEG or WebP of at most 16 million pixels: "
        "convert it, or make it smaller"
    )
    assert good["error"] is None
    assert good["picture"].startswith("Picture with labels: ")


def test_the_keyboard_reaches_and_reads_everything(visit):
    steps = [["picture", str(FRAMES[0])], ["keys", ["ArrowRight", "ArrowDown"]], ["tabs", 3]]
    _, _, read, tabs = visit(GOOD, steps)
    assert read["spoken"].endswith(", row 8, column 8")
    assert read["spoken"].startswith("class_")
    assert tabs["reached"] == ["Show", "Opacity", tabs["reached"][2]]
    assert tabs["reached"][2].startswith("class_")
    *_, first = visit(GOOD, [["tabs", 2]], samples=[FRAMES[0]])
    assert first["reached"] == ["Open a picture", "Use the camera"]


@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_fits_its_window(visit, tmp_path, width):
    picture = tmp_path / "wide.png"
    Image.new("RGB", (1600, 500)).save(picture)
    steps = [["picture", str(picture)], ["screenshot", str(tmp_path / "page.png")]]
    answers = visit(GOOD, steps, width=width)
    assert not any(answer["wide"] for answer in answers)
    assert Image.open(tmp_path / "page.png").width == width


def test_a_camera_is_labeled_and_cut_out(visit, tmp_path):
    saved = tmp_path / "cut.png"
    steps = [["camera", 1000], ["show", "cutout"], ["save", ["#save-picture", str(saved)]]]
    *_, last = visit(ARTIFACTS / "0.1.0-binary.onnx", steps, flags=CAMERA)
    assert last["error"] is None
    assert last["facts"]["Camera"].endswith(" frames a second")
    assert len(set(np.asarray(Image.open(saved))[..., 3].ravel().tolist())) > 1


def test_a_sample_is_offered(visit):
    _, answer = visit(GOOD, [["sample", None]], samples=[FRAMES[0]])
    assert answer["facts"]["Picture"].startswith("320 x 240 pixels, ")


@pytest.mark.security("a model's names that are HTML, on its page", "shown as text")
def test_names_of_a_model_are_text_on_its_page(visit, tmp_path):
    attack = "<img src=x onerror=alert(1)>"
    classes = tuple(ClassInfo(i, f"{attack}{i}", (i, 0, 0)) for i in range(3))
    card = replace(make_models.make_card(), name=attack, description=f"</p>{attack}", classes=classes)
    make_models.make_model(tmp_path / "model.onnx", card=card)
    _, answer = visit(tmp_path / "model.onnx", [["picture", str(FRAMES[0])]])
    assert answer["error"] is None
    assert all(share.startswith(attack) for share in answer["shares"])
