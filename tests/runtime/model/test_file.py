from __future__ import annotations

import hashlib
import io
import os
import shutil
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.model.seal import sealed, unsealed

linux = pytest.mark.skipif(sys.platform != "linux", reason="the open descriptor is loaded on Linux alone")


def refusal(path):
    start = time.process_time()
    with pytest.raises(ModelError) as caught:
        ModelFile.open(path)
    assert time.process_time() - start < 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def write(tmp_path):
    def give(data):
        path = tmp_path / "bad.onnx"
        path.write_bytes(data)
        return path

    return give


def test_a_good_file_tells_what_it_is(model_path):
    path = model_path("rgb")
    with ModelFile.open(path) as model:
        assert model.digest == hashlib.sha256(path.read_bytes()).hexdigest()
        assert model.size == path.stat().st_size
        assert [c.name for c in model.card.classes] == ["class 0", "class 1", "class 2"]
        assert [case.labels.shape for case in model.golden.cases] == [(2, 64, 96), (1, 67, 45)]
        assert [t.name for t in model.summary.outputs] == ["labels", "confidence", "logits"]


@pytest.mark.security("a missing model, a folder, a pipe", "refused at once")
def test_what_is_not_a_regular_file_is_refused_at_once(tmp_path, model_path):
    assert "there is no model file" in refusal(tmp_path / "none.onnx")
    assert "is a folder" in refusal(tmp_path)
    assert "cannot be opened" in refusal("a\0b")
    assert "cannot be opened" in refusal("x" * 5000)
    os.mkfifo(tmp_path / "pipe")
    assert "pipe, socket or device" in refusal(tmp_path / "pipe")
    assert "pipe, socket or device" in refusal("/dev/zero")
    link = tmp_path / "link.onnx"
    link.symlink_to(model_path("rgb"))
    ModelFile.open(link).close()


def test_a_file_without_permission_is_refused(write, model_path):
    path = write(model_path("rgb").read_bytes())
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert "Permission denied" in refusal(path)


@pytest.mark.security("random bytes, an image, half a file, any byte changed", "refused")
def test_foreign_and_damaged_files_are_refused(write, model_path):
    good = model_path("rgb").read_bytes()
    png = b"\x89PNG\r\n\x1a\n" + os.urandom(3000)
    for data in (b"", b"x", os.urandom(5000), png, good[: len(good) // 2], unsealed(good)):
        message = refusal(write(data))
        assert "too few" in message or "not sealed" in message
    for position in range(0, len(good), 97):
        bad = bytearray(good)
        bad[position] ^= 0x10
        refusal(write(bad))


@pytest.mark.security("random bytes with a valid seal", "refused")
def test_sealed_rubbish_is_refused_too(write, model_path):
    good = unsealed(model_path("rgb").read_bytes())
    png = b"\x89PNG\r\n\x1a\n" + os.urandom(3000)
    for data in (b"", b"x", os.urandom(5000), png, good[: len(good) // 2]):
        assert refusal(write(sealed(data)))


def test_a_sealed_file_with_any_byte_changed_never_crashes(write, model_path):
    good = bytearray(unsealed(model_path("plain").read_bytes()))
    for position in range(0, len(good), 23):
        good[position] ^= 0x41
        path = write(sealed(bytes(good)))
        good[position] ^= 0x41
        try:
            ModelFile.open(path).close()
        except ModelError as error:
            assert "\n" not in str(error)  # noqa: PT017 - some changes are harmless


def changed(**how):
    """A sealed model with one thing wrong."""
    pytest.importorskip("onnx")
    from tests.runtime import make_models as mm

    card = how.get("card") or mm.make_card()
    proto = mm.make_proto(card)
    golden = mm.make_golden(card, proto)
    if "proto" in how:
        how["proto"](proto)
    return mm.finish(proto, how.get("card_text", card), how.get("golden_text", golden))


def set_shape(tensor, dims):
    from onnx import helper

    elem = tensor.type.tensor_type.elem_type
    tensor.type.CopyFrom(helper.make_tensor_type_proto(elem, dims))


def external(proto):
    tensor = proto.graph.initializer[-1]
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "weights.bin"


def oversized_initializer(proto):
    from onnx import TensorProto

    proto.graph.initializer.append(TensorProto(dims=[10**5, 10**5], data_type=1, name="oversized"))


def with_function(proto):
    from onnx import helper

    proto.functions.append(helper.make_function("d", "f", ["a"], ["b"], [], [helper.make_opsetid("", 18)]))


BREAKS = {
    "opset 17": (lambda p: setattr(p.opset_import[0], "version", 17), "operator set 17, expected 18"),
    "opset 999": (lambda p: setattr(p.opset_import[0], "version", 999), "operator set 999"),
    "no opset": (lambda p: p.opset_import.pop(), "operator set none"),
    "IR 99": (lambda p: setattr(p, "ir_version", 99), "IR version 99, expected 10"),
    "external data": (external, "outside the file"),
    "local function": (with_function, "the field 25 of a model"),
    "an oversized tensor": (oversized_initializer, "declares a tensor of 40000000000 bytes"),
    "an operator off the list": (
        lambda p: setattr(p.graph.node[0], "op_type", "Frobnicate"),
        "has the operator Frobnicate, which is not on the list",
    ),
    "input name": (lambda p: setattr(p.graph.input[0], "name", "input"), "inputs ['input']"),
    "two inputs": (lambda p: p.graph.input.append(p.graph.input[0]), "inputs ['image', 'image']"),
    "no input": (lambda p: p.graph.input.pop(), "inputs []"),
    "output name": (lambda p: setattr(p.graph.output[0], "name", "masks"), "outputs ['masks']"),
    "no output": (lambda p: p.graph.output.pop(), "outputs []"),
    "two outputs": (lambda p: p.graph.output.append(p.graph.output[0]), "['labels', 'labels']"),
    "frozen batch": (
        lambda p: set_shape(p.graph.input[0], [1, "h", "w", 3]),
        "'image' is uint8 [1, h, w, 3], expected uint8 [batch, height, width, 3]",
    ),
    "frozen size": (lambda p: set_shape(p.graph.input[0], ["b", 64, 64, 3]), "[b, 64, 64, 3]"),
    "channels": (lambda p: set_shape(p.graph.input[0], ["b", "h", "w", 4]), "[b, h, w, 4]"),
    "rank": (lambda p: set_shape(p.graph.input[0], ["b", "h", "w"]), "[b, h, w]"),
    "no shape": (lambda p: set_shape(p.graph.input[0], None), "no shape"),
    "input type": (lambda p: setattr(p.graph.input[0].type.tensor_type, "elem_type", 1), "is float32"),
    "label type": (lambda p: setattr(p.graph.output[0].type.tensor_type, "elem_type", 7), "is int64"),
    "label shape": (lambda p: set_shape(p.graph.output[0], ["b", 1, "h", "w"]), "'labels' is uint8"),
}


@pytest.mark.security("wrong names, ranks, types, opset, IR", "refused with got and expected")
@pytest.mark.parametrize("kind", BREAKS)
def test_a_file_that_breaks_the_contract_is_refused_with_reasons(kind, write):
    pytest.importorskip("onnx")
    change, expected = BREAKS[kind]
    assert expected in refusal(write(changed(proto=change)))


def golden_with(**fields):
    import json

    from tests.runtime import make_models as mm

    card = mm.make_card()
    data = json.loads(mm.make_golden(card, mm.make_proto(card)).to_json())
    for key, value in fields.items():
        target = data if key in data else data["cases"][0]
        target[key] = value
    return json.dumps(data)


BAD_GOLDEN = {
    "no JSON": lambda: "{",
    "a list": lambda: "[]",
    "too deep": lambda: "[" * 100_000,
    "too long": lambda: " " * (5 << 20),
    "another schema": lambda: golden_with(schema="fcn-edge-golden/9"),
    "tau": lambda: golden_with(tau=-1),
    "tau no number": lambda: golden_with(tau="much"),
    "dtype": lambda: golden_with(dtype="float32"),
    "dtype of another card": lambda: golden_with(dtype="uint16"),
    "no cases": lambda: golden_with(cases=[]),
    "case no object": lambda: golden_with(cases=[1]),
    "height": lambda: golden_with(height=65),
    "height huge": lambda: golden_with(height=10**9),
    "height true": lambda: golden_with(height=True),
    "seed": lambda: golden_with(seed="1"),
    "digest": lambda: golden_with(input_sha256="00"),
    "labels no base64": lambda: golden_with(labels="*"),
    "labels not ASCII": lambda: golden_with(labels="\u00e4"),
    "labels no zlib": lambda: golden_with(labels="AAAA"),
    "a zip bomb": lambda: golden_with(labels=bomb()),
    "a label that is not a class": lambda: golden_with(labels=packed(np.full((2, 64, 96), 7, np.uint8))),
}


def bomb():
    return packed(np.zeros(40_000_000, np.uint8))


def packed(labels):
    import base64

    return base64.b64encode(zlib.compress(labels.tobytes())).decode()


@pytest.mark.security("an invalid self-test, also a zip bomb", "refused, the field named")
@pytest.mark.parametrize("kind", BAD_GOLDEN)
def test_a_sealed_file_with_a_bad_self_test_is_refused(kind, write):
    pytest.importorskip("onnx")
    data = changed(golden_text=BAD_GOLDEN[kind]())
    assert "self-test" in refusal(write(data))


@pytest.mark.security("an invalid card", "refused, the field named")
@pytest.mark.parametrize("text", ["{", "[]", "{}", "[" * 100_000, "\x00", '{"schema": "fcn-edge-card/1"}'])
def test_a_sealed_file_with_a_bad_card_is_refused(text, write):
    pytest.importorskip("onnx")
    assert "card" in refusal(write(changed(card_text=text)))


def test_a_sealed_onnx_file_without_our_card_is_refused(write):
    pytest.importorskip("onnx")
    from tests.runtime import make_models as mm

    data = sealed(mm.make_proto(mm.make_card()).SerializeToString())
    assert "no 'fcn_edge.card' in its metadata" in refusal(write(data))


@pytest.mark.security("a file swapped after it was hashed", "the hashed bytes are loaded")
@linux
def test_the_hashed_bytes_are_loaded_though_the_file_is_replaced(model_path, tmp_path):
    path, other = tmp_path / "m.onnx", tmp_path / "other.onnx"
    shutil.copy(model_path("rgb"), path)
    shutil.copy(model_path("plain"), other)
    with ModelFile.open(path) as model:
        other.replace(path)
        with model.source() as source:
            assert hashlib.sha256(Path(source).read_bytes()).hexdigest() == model.digest


def test_a_file_rewritten_while_it_is_loaded_is_noticed(model_path, tmp_path):
    path = tmp_path / "m.onnx"
    shutil.copy(model_path("rgb"), path)
    time.sleep(0.02)
    with (
        ModelFile.open(path) as model,
        pytest.raises(ModelError, match="was changed while"),
        model.source(),
    ):
        path.write_bytes(model_path("plain").read_bytes())


def test_a_closed_file_is_refused_and_keeps_its_facts(model_path):
    model = ModelFile.open(model_path("rgb"))
    model.close()
    with pytest.raises(ModelError, match="was closed"), model.source():
        pass
    assert model.card.name == "test net"


def test_no_descriptor_stays_open(model_path, write):
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("needs /proc")
    before = len(list(descriptors.iterdir()))
    bad = write(sealed(b"\x08\x0a"))
    for _ in range(20):
        ModelFile.open(model_path("rgb")).close()
        with pytest.raises(ModelError):
            ModelFile.open(bad)
    assert len(list(descriptors.iterdir())) == before


def test_one_open_file_may_be_loaded_by_many_threads(model_path):
    with ModelFile.open(model_path("rgb")) as model:
        digests = []

        def load():
            with model.source() as source:
                data = source if isinstance(source, bytes) else io.FileIO(source).read()
                digests.append(hashlib.sha256(data).hexdigest())

        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert digests == [model.digest] * 8
