"""make networks: its comparison contradicts a wrong file, and each part can be run again."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import fcn_edge
from benchmarks.networks import worker
from benchmarks.networks.__main__ import _worker
from benchmarks.networks.page import as_page
from benchmarks.networks.results import merged

RIGHT = {"outcome": "right", "right": ["33x47"], "bad": [], "error": 1e-6, "seconds": 9.0, "megabytes": 700}
WRONG = {**RIGHT, "outcome": "wrong", "right": [], "bad": ["64x96"]}
REFUSED = {"outcome": "refused", "seconds": 2.0, "why": "probe: no | map"}


def small(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1)).eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("networks") / "net.onnx"
    card = fcn_edge.Card("net", (), fcn_edge.InputSpec.unit())
    fcn_edge.export(small(0), card, path, options=fcn_edge.ExportOptions(outputs=("labels", "logits")))
    return path


@pytest.fixture(autouse=True)
def few_sizes(monkeypatch):
    monkeypatch.setattr(worker, "SIZES", ((2, 33, 47), (1, 64, 96)))


def test_a_file_equal_to_its_network_is_right(exported):
    found = worker._compared(small(0), exported)  # its public face is a process
    assert (found["outcome"], found["right"]) == ("right", ["33x47", "64x96"])


def test_a_file_of_another_network_is_wrong(exported):
    assert worker._compared(small(1), exported)["outcome"] == "wrong"  # its public face is a process


def test_a_size_where_pytorch_itself_is_unstable_does_not_count(exported):
    class Unstable(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = small(0)

        def forward(self, x):
            logits = self.net(x)
            at_width = 0.01 * logits.abs().max() if x.shape[-1] == 96 else 0
            return logits + at_width * torch.sin(1e6 * x[:, :1])

    found = worker._compared(Unstable(), exported)
    assert (found["outcome"], found["right"], found["unstable"]) == ("right", ["33x47"], ["64x96"])
    page = as_page(merged({}, "monai", "1", ["x"], {"x": {**RIGHT, **found}}))
    assert "unstable in PyTorch at 64x96" in page


@pytest.mark.slow
def test_the_option_that_a_message_proposes_is_used():
    class OneSize(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = small(0)
            self.position = nn.Parameter(torch.randn(1, 3, 96, 96))

        def forward(self, x):
            return self.net(x + self.position)

    found = worker.tried(OneSize())
    assert (found["outcome"], found["with"]) == ("right", {"working_size": "96x96"})
    assert "--working-size 96x96" in found["messages"][0]


@pytest.mark.slow
def test_sides_of_k_n_plus_r_count_at_every_size():
    class EightPlusOne(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = small(0)

        def forward(self, x):
            assert all(side % 8 == 1 for side in x.shape[-2:])
            return self.net(x)

    found = worker.tried(EightPlusOne())
    assert (found["outcome"], found["right"]) == ("right", ["33x47", "64x96"])


def test_a_library_that_is_not_there_is_a_failure_with_why():
    found = _worker(Path(sys.executable), 60, "no_such_library")  # as the command does it
    assert found["outcome"] == "failed"
    assert "no_such_library" in found["why"]


def test_a_part_that_runs_again_keeps_the_others():
    first = merged({}, "smp", "1", ["a", "b", "gone"], {"a": RIGHT, "b": RIGHT, "gone": RIGHT})
    again = merged(first, "smp", "2", ["b", "a"], {"a": REFUSED})
    assert again == {"smp": {"versions": "2", "listed": 2, "networks": {"b": RIGHT, "a": REFUSED}}}


def test_the_page_shows_what_is_right_refused_and_wrong():
    results = merged(
        {}, "monai", "monai 1", ["a", "b", "c"], {"a": {**RIGHT, "multiple": 8}, "b": REFUSED, "c": WRONG}
    )
    page = as_page(results)
    assert "| MONAI, two-dimensional | 3 | 3 | 1 | 1 | 0 | 1 |" in page
    assert "| a | right, padded to multiples of 8 | 1 of 1 | 1e-06 | 9 | 700 |" in page
    assert "| b | refused: probe: no \\| map |  |  | 2 |  |" in page
    assert "| c | **wrong** at 64x96 | 0 of 1 |" in page
    assert "deformable convolution" in page
