from __future__ import annotations

import os
import sys

import pytest

from fcn_edge_runtime._child import ChildError, environment_with, our_environment, run_child


def python(code, **options):
    return run_child([sys.executable, "-c", code], **options)


@pytest.mark.parametrize(
    ("code", "message", "killed"),
    [
        ("import os; os.abort()", "ended with signal SIGABRT", True),
        ("import os, signal; os.kill(os.getpid(), 35)", "ended with signal 35", True),
        ("import sys; sys.exit('gone')", "ended with exit code 1 (gone)", False),
        ("print('so'); raise SystemExit(3)", "ended with exit code 3 (so)", False),
        ("raise ValueError('x' * 500)", f"ended with exit code 1 (ValueError: {'x' * 188})", False),
        ("import time; time.sleep(60)", "took longer than 0.5 s", False),
    ],
)
def test_a_child_that_fails_is_a_sentence(code, message, killed):
    with pytest.raises(ChildError) as caught:
        python(code, seconds=0.5 if "sleep" in code else None)
    assert str(caught.value) == message
    assert caught.value.killed == killed


def test_a_child_finds_what_this_process_found(tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("print('found')")
    monkeypatch.syspath_prepend(tmp_path)
    assert python("import only_here", environment=our_environment()) == "found\n"
    with pytest.raises(ChildError, match="ModuleNotFoundError"):
        python("import only_here", environment=environment_with([]))


def test_output_that_is_not_text_is_still_returned():
    assert "\ufffd" in python(r"import sys; sys.stdout.buffer.write(b'\xff')", environment=dict(os.environ))
