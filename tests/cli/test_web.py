"""`fcn-edge web` up to the page; tests/web opens it in a browser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests/web/node_modules/onnxruntime-web"


@pytest.fixture
def without_npm(tmp_path):
    """An environment without npm and with an empty cache."""
    return {**os.environ, "PATH": str(tmp_path), "FCN_EDGE_CACHE": str(tmp_path / "cache")}


def refusal(done, code):
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_without_npm_it_says_where_else_to_get_it(fcn_edge, model_path, without_npm, tmp_path):
    done = fcn_edge("web", model_path("plain"), "-o", "site", env=without_npm)
    assert "there is no npm here to fetch onnxruntime-web@" in refusal(done, 1)
    assert not (tmp_path / "site").exists()


def test_another_version_is_refused(fcn_edge, model_path, tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "ort.wasm.min.mjs").write_text("export default 1;")
    done = fcn_edge("web", model_path("plain"), "-o", "site", "--onnxruntime-web", "package")
    assert "ort.wasm.min.mjs in package has SHA-256 " in refusal(done, 1)
    assert not (tmp_path / "site").exists()


def test_a_folder_without_the_package_is_refused(fcn_edge, model_path):
    done = fcn_edge("web", model_path("plain"), "-o", "site", "--onnxruntime-web", ".")
    assert "cannot be read (No such file or directory): expected the unpacked npm package" in refusal(done, 1)


def test_a_model_of_four_channels_has_no_page(fcn_edge, model_path):
    done = fcn_edge("web", model_path("bands4"), "-o", "site")
    assert "takes images of 4 channels, expected 1 or 3" in refusal(done, 2)


def test_a_sample_that_browsers_do_not_read_is_refused(fcn_edge, model_path, tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    done = fcn_edge("web", model_path("plain"), "-o", "site", "--sample", "a.tif")
    assert "the sample a.tif is not one of .png, .jpg, .jpeg, .webp: convert it" in refusal(done, 1)


def test_a_damaged_model_has_no_page(fcn_edge, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"onnx" * 100)
    assert "model.onnx is not sealed" in refusal(fcn_edge("web", "model.onnx", "-o", "site"), 1)
    assert not (tmp_path / "site").exists()


@pytest.mark.skipif(not PACKAGE.is_dir(), reason="the npm packages are not installed: make node-packages")
def test_a_site_is_whole_and_replaces_an_earlier_one(fcn_edge, model_path, photos, tmp_path):
    for kind, samples in (("plain", ["--sample", photos / "a.png"]), ("rgb", [])):
        done = fcn_edge("web", model_path(kind), "-o", "my site", *samples, "--onnxruntime-web", PACKAGE)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "serve  python -m http.server -d 'my site'"
        site = tmp_path / "my site"
        assert (site / "model.onnx").read_bytes() == model_path(kind).read_bytes()
        page = (site / "index.html").read_text()
        assert "<h1>test net</h1>" in page
        assert ("Sample: a</button>" in page) == bool(samples)
        assert not list(site.rglob("*.part"))
