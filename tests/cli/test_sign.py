from __future__ import annotations

import shutil

import pytest

pytest.importorskip("model_signing")

from tests.runtime.model.test_signature import make_key

__all__ = ["make_key"]


@pytest.fixture
def model(model_path, tmp_path):
    return shutil.copy(model_path("gray"), tmp_path / "model.onnx")


def test_a_signed_model_is_verified_and_run(fcn_edge, model, make_key, tmp_path):
    private, public = make_key("ours")
    done = fcn_edge("sign", model, "--key", private)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model.onnx.sig").is_file()
    digest = done.stdout.split()[-1]
    done = fcn_edge("verify-signature", model, "--trusted-keys", public)
    assert (done.returncode, done.stdout.split()[-1]) == (0, digest), done.stderr
    done = fcn_edge("selftest", model, "--trusted-keys", public)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["verify-signature", "model.onnx"],
        ["selftest", "model.onnx"],
        ["run", "model.onnx", "a.png", "-o", "out"],
        ["robot", "bridge", "--model", "model.onnx", "--image-topic", "/image"],
        ["serve", "model.onnx", "--port", "0"],
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("model")
def test_an_unsigned_model_is_refused_by(fcn_edge, make_key, tmp_path, command):
    from PIL import Image

    Image.new("L", (24, 20)).save(tmp_path / "a.png")
    _, public = make_key("ours")
    done = fcn_edge(*command, "--trusted-keys", public)
    assert done.returncode == 3, done.stderr
    assert "is not signed" in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_encrypted_key_asks_for_its_password(fcn_edge, model, make_key):
    private, public = make_key("ours", password="secret")  # noqa: S106 - of a key made here
    done = fcn_edge("sign", model, "--key", private)
    assert done.returncode == 2
    assert "cannot be used" in done.stderr
    done = fcn_edge("sign", model, "--key", private, "--ask-password", input="secret\n")
    assert done.returncode == 0, done.stderr
    assert fcn_edge("verify-signature", model, "--trusted-keys", public).returncode == 0
