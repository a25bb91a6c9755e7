"""Ctrl-C at every moment at which Python delivers it: after a call of C code, at the start of a function."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable

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

    def watch(_frame: object, event: str, _argument: object) -> None:
        nonlocal passed
        if event in ("call", "c_return"):
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
