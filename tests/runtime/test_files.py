from __future__ import annotations

import os
import signal
import stat

import numpy as np
import pytest

from fcn_edge_runtime import _files as files
from fcn_edge_runtime._files import part_of, place, write_whole, writer_of_many
from tests.interruption import interrupt_at_every_moment


@pytest.fixture
def alarm_is_ctrl_c():
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no timers that signal")
@pytest.mark.usefixtures("alarm_is_ctrl_c")
def test_a_real_ctrl_c_leaves_a_whole_file_and_no_part(tmp_path):
    path = tmp_path / "a.bin"
    interrupted = 0
    for number, moment in enumerate(np.linspace(2e-6, 1e-3, 150)):
        data = bytes([number % 256]) * 1000
        try:
            signal.setitimer(signal.ITIMER_REAL, float(moment))
            write_whole(path, data)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            interrupted += 1
        assert left_in(tmp_path) in ([], ["a.bin"])
        if path.exists():
            assert len(set(path.read_bytes())) == 1
            assert path.stat().st_size == 1000
    assert interrupted >= 15


def test_ctrl_c_at_every_moment_of_a_write_leaves_no_part(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def check():
        assert left_in(tmp_path) == ["a.bin"]
        assert path.read_bytes() in (b"old", b"new")

    assert interrupt_at_every_moment(lambda: write_whole(path, b"new"), check) > 50
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("folder", [False, True])
def test_ctrl_c_at_every_moment_of_an_unused_part_removes_it(tmp_path, folder):
    def probe():
        with part_of(tmp_path / "a.onnx", folder=folder) as part:
            if folder:
                (part / "inside").mkdir()

    def check():
        assert left_in(tmp_path) == []

    assert interrupt_at_every_moment(probe, check) > 50


def test_data_is_on_disk_before_its_name_and_then_the_folder(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(handle):
        events.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "data")
        fsync(handle)

    def watched_replace(source, target):
        events.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    write_whole(tmp_path / "a", b"a")
    assert events == ["data", "rename", "folder"]
    events.clear()
    with part_of(tmp_path / "bag", folder=True) as part:
        (part / "one").write_bytes(b"1")
        (part / "two").write_bytes(b"2")
        place((part, tmp_path / "bag"))
    assert events == ["data", "data", "folder", "rename", "folder"]
    events.clear()
    with writer_of_many() as write:
        write(tmp_path / "a", b"A")
        write(tmp_path / "b", b"B")
        assert events == ["rename", "rename"]
    assert events == ["rename", "rename", "data", "data", "folder"]
    assert (tmp_path / "a").read_bytes() + (tmp_path / "b").read_bytes() == b"AB"


def test_results_that_are_removed_meanwhile_are_not_missed(tmp_path):
    with writer_of_many() as write:
        write(tmp_path / "a", b"A")
        (tmp_path / "a").unlink()


def test_a_file_of_the_same_name_is_not_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(files.secrets, "token_hex", lambda _n: "0123abcd")
    theirs = tmp_path / ".a.onnx.fcn-edge-0123abcd.part"
    theirs.write_bytes(b"theirs")
    with pytest.raises(FileExistsError), part_of(tmp_path / "a.onnx"):
        pass
    assert theirs.read_bytes() == b"theirs"
