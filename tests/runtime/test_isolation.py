"""A file of unknown origin is opened in a child first, which may crash, hang or take too much."""

from __future__ import annotations

import numpy as np
import pytest

from fcn_edge_runtime import ModelError, Segmenter, VerificationError, isolation
from fcn_edge_runtime._child import ChildError
from fcn_edge_runtime.model.file import ModelFile


@pytest.fixture(autouse=True)
def none_passed(monkeypatch):
    monkeypatch.setattr(isolation, "_passed", set())


@pytest.mark.security("a first opening in a child process", "on request: limits on memory and time")
def test_a_good_file_opens_after_its_child_did(model_path, monkeypatch):
    image = np.zeros((20, 30, 3), np.uint8)
    with Segmenter(model_path("rgb"), "cpu", 1, isolated_first=True) as segmenter:
        assert segmenter(image).labels.shape == (20, 30)
        assert isolation._passed == {segmenter.digest}
    # Once a process: no second child.
    monkeypatch.setattr(isolation, "run_child", lambda *_, **__: pytest.fail("a second child"))
    Segmenter(model_path("rgb"), "cpu", 1, isolated_first=True).close()


@pytest.mark.security("a first opening in a child process", "on request: limits on memory and time")
@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"seconds": 0.01}, "took longer than 0.01 s: do not use this file"),
        ({"megabytes": 0}, "."),
    ],
)
def test_a_child_that_takes_too_much_is_a_model_error(model_path, limits, message):
    with ModelFile.open(model_path("rgb")) as model, pytest.raises(ModelError, match=message):
        isolation.open_in_child(model, **limits)


def test_a_child_that_crashes_is_a_model_error(model_path, monkeypatch):
    def crash(*_, **__):
        raise ChildError("ended with signal SIGABRT", killed=True)

    monkeypatch.setattr(isolation, "run_child", crash)
    with pytest.raises(ModelError, match="of its own, which ended with signal SIGABRT: do not use this file"):
        Segmenter(model_path("rgb"), "cpu", 1, isolated_first=True)


def test_a_self_test_that_fails_in_the_child_is_named(model_path):
    with pytest.raises(VerificationError, match="self-test failed on CPU"):
        Segmenter(model_path("plain_wrong"), "cpu", 1, isolated_first=True)


@pytest.mark.security("a file swapped after it was hashed", "the hashed bytes are loaded")
def test_a_file_swapped_for_the_child_is_refused(model_path, tmp_path, monkeypatch):
    path = tmp_path / "m.onnx"
    path.write_bytes(model_path("rgb").read_bytes())
    started = isolation.run_child

    def swap(*arguments, **options):
        path.write_bytes(model_path("plain").read_bytes())
        return started(*arguments, **options)

    with ModelFile.open(path) as model:
        monkeypatch.setattr(isolation, "run_child", swap)
        with pytest.raises(ModelError, match="was replaced while it was opened"):
            isolation.open_in_child(model)
