from __future__ import annotations

import pytest

from fcn_edge_runtime import Segmenter, UsageError, VerificationError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.selftest import require_trusted
from fcn_edge_runtime.session.session import SessionOptions, open_session

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
