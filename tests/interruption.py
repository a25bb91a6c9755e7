"""Ctrl-C at every moment at which Python delivers it: after a call of C code, at the start of a function."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from types import FrameType

__all__ = ["interrupt_at_every_moment"]


def interrupt_at_every_moment(work: Callable[[], object], check: Callable[[], object]) -> int:
    """Run `work` again and again, interrupted at its first moment, its second, ..., until it ends.

    Args:
        work: may be run any number of times.
        check: called after each interrupted run; asserts what holds then.

    Returns:
        How many moments there are.
    """
    for moment in itertools.count(1):
        if not _interrupted(work, moment):
            return moment - 1
        check()
    raise AssertionError


def _interrupted(work: Callable[[], object], moment: int) -> bool:
    passed = 0

    def watch(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal passed
        # In Python 3.10 an error raised here at the start of a frame passes the handlers of the frame. Those
        # of a generator that is resumed matter, and a real Ctrl-C does not arrive there.
        unhandled = sys.version_info < (3, 11) and event == "call" and frame.f_lasti >= 0
        if event in ("call", "c_return") and not unhandled:
            passed += 1
            if passed == moment:
                sys.setprofile(None)
                raise KeyboardInterrupt

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(before)
    return False
