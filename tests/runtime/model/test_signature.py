from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("model_signing")
ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")

from fcn_edge_runtime import ModelError, Segmenter, UsageError, VerificationError  # noqa: E402 - after the skips
from fcn_edge_runtime.model import signature  # noqa: E402 - the same
from fcn_edge_runtime.model.file import ModelFile  # noqa: E402 - the same
from fcn_edge_runtime.model.seal import sealed, unsealed  # noqa: E402 - the same

PEM = serialization.Encoding.PEM


@pytest.fixture
def make_key(tmp_path):
    """Make a pair of keys: a function from a name to the paths of the private and the public one."""

    def make(name, curve=None, password=None):
        key = ec.generate_private_key(curve or ec.SECP256R1())
        lock = serialization.NoEncryption()
        if password is not None:
            lock = serialization.BestAvailableEncryption(password.encode())
        private, public = tmp_path / f"{name}.pem", tmp_path / f"{name}.pub.pem"
        private.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, lock))
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        public.write_bytes(key.public_key().public_bytes(PEM, form))
        return private, public

    return make


@pytest.fixture
def model(model_path, tmp_path):
    return shutil.copy(model_path("gray"), tmp_path / "model.onnx")


def sign(model, key, password=None):
    with ModelFile.open(model, trusted_keys=()) as opened:
        made = signature.signature_of(opened, key, password)
    place = model.with_name(f"{model.name}.sig")
    place.write_bytes(made)
    return place


@pytest.mark.parametrize("curve", ["SECP256R1", "SECP384R1", "SECP521R1"])
def test_a_model_signed_by_a_trusted_key_opens(model, make_key, curve):
    private, public = make_key("ours", getattr(ec, curve)())
    _, other = make_key("other")
    sign(model, private)
    image = np.zeros((24, 20), np.uint8)
    with Segmenter(model, "cpu", trusted_keys=[other, public]) as segmenter:
        expected = segmenter(image).labels
    with pickle.loads(pickle.dumps(segmenter)) as again:  # noqa: S301 - made on the line itself
        assert np.array_equal(again(image).labels, expected)


def test_the_signature_goes_with_the_bytes_of_any_name(model, make_key):
    private, public = make_key("ours")
    place = sign(model, private)
    renamed = model.rename(model.with_name("road.onnx"))
    place.rename(renamed.with_name("road.onnx.sig"))
    Segmenter(renamed, "cpu", trusted_keys=[public]).close()


def test_the_librarys_own_command_verifies_the_signature(model, make_key):
    private, public = make_key("ours")
    command = [
        sys.executable,
        "-m",
        "model_signing",
        "verify",
        "key",
        model,
        "--signature",
        sign(model, private),
    ]
    done = subprocess.run([*command, "--public_key", public], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_the_library_signed_is_accepted(model, make_key):
    private, public = make_key("ours")
    command = [sys.executable, "-m", "model_signing", "sign", "key", model, "--private_key", private]
    done = subprocess.run([*command, "--signature", f"{model}.sig"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    Segmenter(model, "cpu", trusted_keys=[public]).close()


def refusal(model, *keys, kind=VerificationError):
    with pytest.raises(kind) as caught:
        Segmenter(model, "cpu", trusted_keys=keys)
    return str(caught.value)


@pytest.mark.security(
    "a model without a signature, where trusted keys are asked for", "refused before it is parsed"
)
def test_an_unsigned_model_is_refused(model, make_key, monkeypatch):
    _, public = make_key("ours")
    monkeypatch.setattr("fcn_edge_runtime.model.file.read_model", lambda _: pytest.fail("it was parsed"))
    assert "is not signed (there is no " in refusal(model, public)


@pytest.mark.security("a model changed after it was signed, and sealed again", "refused")
def test_a_model_changed_since_is_refused(model, make_key):
    private, public = make_key("ours")
    sign(model, private)
    data = unsealed(model.read_bytes())
    at = data.index(b"class 1")
    model.write_bytes(sealed(data[:at] + b"class 9" + data[at + 7 :]))
    Segmenter(model, "cpu").close()  # the seal alone does not notice
    assert "is of another file" in refusal(model, public)


@pytest.mark.security("a model signed by another key", "refused")
def test_a_signature_by_another_key_is_refused(model, make_key):
    private, _ = make_key("theirs")
    _, public = make_key("ours")
    sign(model, private)
    assert "is by another key" in refusal(model, public)


@pytest.mark.security("the signature of another model", "refused")
def test_the_signature_of_another_model_is_refused(model, model_path, make_key, tmp_path):
    private, public = make_key("ours")
    other = shutil.copy(model_path("rgb"), tmp_path / "other.onnx")
    sign(other, private).rename(f"{model}.sig")
    assert "is of another file" in refusal(model, public)


@pytest.mark.security(
    "a model replaced between the check of its signature and its use", "the signed one is used"
)
def test_a_swap_after_the_check_changes_nothing(model, model_path, make_key, monkeypatch, tmp_path):
    private, public = make_key("ours")
    sign(model, private)
    with ModelFile.open(model) as opened:
        digest = opened.digest
    check = signature.require_signature

    def check_then_swap(*given):
        check(*given)
        shutil.copy(model_path("rgb"), tmp_path / "new.onnx").replace(model)

    monkeypatch.setattr(signature, "require_signature", check_then_swap)
    with Segmenter(model, "cpu", trusted_keys=[public]) as segmenter:
        assert segmenter.digest == digest
        assert segmenter(np.zeros((24, 20), np.uint8)).labels.shape == (
            24,
            20,
        )  # the other model takes colors


@pytest.mark.security("a model rewritten in place after the check of its signature", "refused")
def test_a_rewrite_after_the_check_is_refused(model, model_path, make_key, monkeypatch):
    private, public = make_key("ours")
    sign(model, private)
    check = signature.require_signature

    def check_then_write(*given):
        check(*given)
        model.write_bytes(model_path("rgb").read_bytes())

    monkeypatch.setattr(signature, "require_signature", check_then_write)
    message = refusal(model, public, kind=ModelError)
    assert "changed" in message or "shorter" in message


@pytest.mark.security("a signature that is damaged, of any size, or a pipe", "refused")
@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"{}",
        lambda _: b"[" * 100_000,
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b'"sig":"M', b'"sig":"N'),
        lambda data: data + b" " * (2 << 20),
        lambda _: b"\xff\xfe\x00\x1b[2J",
    ],
    ids=["empty", "object", "nested", "half", "other", "long", "noise"],
)
def test_a_damaged_signature_is_refused(model, make_key, damage):
    private, public = make_key("ours")
    place = sign(model, private)
    place.write_bytes(damage(place.read_bytes()))
    message = refusal(model, public)
    assert message.isprintable()
    assert "model.onnx.sig" in message


def test_a_signature_that_is_a_pipe_does_not_hang(model, make_key):
    _, public = make_key("ours")
    os.mkfifo(f"{model}.sig")
    assert "cannot be read (not a regular file)" in refusal(model, public)


def test_no_keys_and_bad_keys_are_wrong_usage(model, make_key, tmp_path):
    private, _ = make_key("ours")
    sign(model, private)
    assert "expected a list of at least one key" in refusal(model, kind=UsageError)
    (tmp_path / "noise.pem").write_bytes(b"noise")
    assert "noise.pem cannot be used" in refusal(model, tmp_path / "noise.pem", kind=UsageError)
    assert "cannot be used" in refusal(model, tmp_path / "missing.pem", kind=UsageError)
    with pytest.raises(UsageError, match="expected a list of at least one key"):
        Segmenter(model, "cpu", trusted_keys=str(private))


def test_an_encrypted_key_needs_its_password(model, make_key):
    private, public = make_key("ours", password="secret")  # noqa: S106 - of a key made here
    with pytest.raises(UsageError, match="cannot be used"):
        sign(model, private)
    with pytest.raises(UsageError, match="cannot be used"):
        sign(model, private, "wrong")
    sign(model, private, "secret")
    Segmenter(model, "cpu", trusted_keys=[public]).close()


def test_the_environment_asks_for_a_signature_everywhere(model, make_key, monkeypatch):
    private, public = make_key("ours")
    monkeypatch.setenv("FCN_EDGE_TRUSTED_KEYS", str(public))
    with pytest.raises(VerificationError, match="is not signed"):
        Segmenter(model, "cpu")
    sign(model, private)
    Segmenter(model, "cpu", isolated_first=True).close()


def test_without_the_library_nothing_is_trusted(model, make_key, monkeypatch):
    private, public = make_key("ours")
    sign(model, private)
    monkeypatch.setitem(sys.modules, "model_signing", None)
    assert "model-signing, which is not installed: `pip install 'fcn-edge[sign]'`" in refusal(model, public)
