from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fcn_edge_runtime import Segmenter, UsageError, VerificationError, trusted_session
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.selftest import require_trusted
from fcn_edge_runtime.session.session import OPENVINO, Session, SessionOptions, open_session

SMALL = SessionOptions(size=(24, 40))


def test_a_fixed_size_is_tested_by_a_twin_of_any_size(model_path):
    with ModelFile.open(model_path("rgb")) as model:
        require_trusted(open_session(model, "cpu", options=SMALL), model)


def test_a_wrong_model_is_refused_at_a_fixed_size_too(model_path):
    with pytest.raises(VerificationError, match="self-test failed"):
        Segmenter(model_path("plain_wrong"), "cpu", options=SMALL)


def test_a_fixed_size_that_labels_otherwise_is_refused(model_path):
    with ModelFile.open(model_path("rgb")) as model, ModelFile.open(model_path("tied")) as other:
        session = open_session(other, "cpu", options=SMALL)
        with pytest.raises(VerificationError, match=r"% of the labels change when frames are fixed to 24x40"):
            require_trusted(session, model)


def test_a_size_that_the_network_cannot_take_is_wrong_usage(model_path):
    with pytest.raises(UsageError, match=r"size is \(24, 40\), expected at least 40 each way"):
        Segmenter(model_path("large"), "cpu", options=SMALL)


@dataclasses.dataclass(frozen=True)
class Mislabeling(Session):
    """A device that starts and computes, and is wrong."""

    def run(self, image, outputs=None):
        return {name: 1 - np.minimum(value, 1) for name, value in super().run(image, outputs).items()}


@pytest.fixture
def openvino_is_wrong(monkeypatch):
    def opened(model, device, *, passed_over, **rest):
        session = open_session(
            model, "cpu" if device == "openvino" else device, passed_over=passed_over, **rest
        )
        if device == "cpu" or OPENVINO in passed_over:
            why = f"{session.why}: {'; '.join(passed_over.values())}"
            return dataclasses.replace(session, why=why)
        values = {field.name: getattr(session, field.name) for field in dataclasses.fields(Session)}
        return Mislabeling(**{**values, "provider": OPENVINO, "device": "openvino"})

    monkeypatch.setattr(trusted_session, "open_session", opened)


@dataclasses.dataclass(frozen=True)
class WrongInBfloat16(Session):
    """A device that labels otherwise where float operators run in bfloat16."""

    def run(self, image, outputs=None):
        values = super().run(image, outputs)
        return {k: 1 - np.minimum(v, 1) for k, v in values.items()} if self.options.bf16 else values


@pytest.fixture
def bfloat16_is_wrong(monkeypatch):
    def opened(model, _device, *, options, **rest):
        session = open_session(model, "cpu", options=dataclasses.replace(options, bf16=False), **rest)
        values = {field.name: getattr(session, field.name) for field in dataclasses.fields(Session)}
        decided = dataclasses.replace(session.options, bf16=options.bf16 is not False)
        return WrongInBfloat16(
            **{**values, "provider": OPENVINO, "device": "openvino", "options": decided, "why": "chosen"}
        )

    monkeypatch.setattr(trusted_session, "open_session", opened)


@pytest.mark.security(
    "`auto` and a device that fails the model's self-test", "another is taken, and said why"
)
@pytest.mark.usefixtures("openvino_is_wrong")
def test_auto_passes_over_a_device_that_labels_otherwise(model_path):
    with Segmenter(model_path("rgb")) as segmenter:
        assert segmenter.session.device == "cpu"
        assert "the self-test failed on OpenVINOExecutionProvider" in segmenter.session.why


@pytest.mark.usefixtures("openvino_is_wrong")
def test_a_device_that_was_asked_for_is_never_passed_over(model_path):
    with pytest.raises(VerificationError, match="self-test failed on OpenVINOExecutionProvider"):
        Segmenter(model_path("rgb"), "openvino")


@pytest.mark.parametrize("device", ["auto", "openvino"])
@pytest.mark.usefixtures("bfloat16_is_wrong")
def test_bfloat16_is_left_out_where_the_self_test_fails(model_path, device):
    with Segmenter(model_path("rgb"), device) as segmenter:
        assert segmenter.session.options.bf16 is False
        assert segmenter.session.why == "chosen; it fails with float operators in bfloat16"


@pytest.mark.usefixtures("bfloat16_is_wrong")
def test_bfloat16_that_was_asked_for_fails_with_the_self_test(model_path):
    with pytest.raises(VerificationError, match="self-test failed on OpenVINOExecutionProvider"):
        Segmenter(model_path("rgb"), "openvino", options=SessionOptions(bf16=True))


@pytest.mark.usefixtures("openvino_is_wrong")
def test_the_self_test_takes_the_device_that_run_takes(model_path):
    with ModelFile.open(model_path("rgb")) as model:
        (failed, wrong), (taken, right) = trusted_session.self_tests(model)
    assert (failed.device, wrong.passed) == ("openvino", False)
    assert (taken.device, right.passed) == ("cpu", True)
    assert "the self-test failed on OpenVINOExecutionProvider" in taken.why
    assert trusted_session.selftest(model_path("rgb")).passed


@pytest.mark.usefixtures("openvino_is_wrong")
def test_the_self_test_names_the_device_that_failed(model_path, capsys):
    from fcn_edge.cli import main

    with pytest.raises(SystemExit) as done:
        main(["selftest", str(model_path("rgb"))])
    assert not done.value.code
    shown = capsys.readouterr().out
    assert "self-test failed on openvino (" in shown
    assert "decided pixels differ; passed over\n" in shown
    assert "self-test passed on cpu (CPUExecutionProvider; auto: " in shown


@pytest.mark.usefixtures("openvino_is_wrong")
def test_a_device_asked_for_fails_the_self_test_command(model_path, capsys):
    from fcn_edge.cli import main

    with pytest.raises(SystemExit) as done:
        main(["selftest", str(model_path("rgb")), "--device", "openvino", "--json"])
    assert done.value.code == 3
    assert '"passed": false' in capsys.readouterr().out
