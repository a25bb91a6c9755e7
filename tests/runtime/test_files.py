from __future__ import annotations

import signal

import numpy as np
import pytest

from fcn_edge_runtime import _files as files
from fcn_edge_runtime._files import part_of, write_whole


@pytest.fixture
def alarm_is_ctrl_c():
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no timers that signal")
@pytest.mark.usefixtures("alarm_is_ctrl_c")
def test_ctrl_c_at_500_moments_of_a_write_leaves_no_part_and_a_whole_file(tmp_path):
    path = tmp_path / "a.bin"
    interrupted = 0
    for number, moment in enumerate(np.linspace(2e-6, 6e-4, 500)):
        data = bytes([number % 256]) * 1000
        try:
            signal.setitimer(signal.ITIMER_REAL, float(moment))
            write_whole(path, data)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            interrupted += 1
        left = [p.name for p in tmp_path.iterdir()]
        assert left in ([], ["a.bin"])
        assert not left or len(set(path.read_bytes())) == 1
        assert not left or path.stat().st_size == 1000
    assert interrupted >= 50


@pytest.mark.parametrize("folder", [False, True])
def test_a_part_that_is_interrupted_as_it_is_made_is_removed(tmp_path, monkeypatch, folder):
    def interrupted(_part):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "_held", interrupted)
    with pytest.raises(KeyboardInterrupt), part_of(tmp_path / "a.onnx", folder=folder):
        pass
    assert not list(tmp_path.iterdir())


def test_a_part_of_somebody_else_s_is_not_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(files.secrets, "token_hex", lambda _n: "0123abcd")
    theirs = tmp_path / ".a.onnx.fcn-edge-0123abcd.part"
    theirs.write_bytes(b"theirs")
    with pytest.raises(FileExistsError), part_of(tmp_path / "a.onnx"):
        pass
    assert theirs.read_bytes() == b"theirs"
