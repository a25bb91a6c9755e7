"""Ctrl-C while a command runs: it waits for a running import, and always ends the command as an interrupt.

Python raises KeyboardInterrupt wherever the program is. During the import of a compiled module that is inside
C++, which turns it into an ImportError (pybind11) or aborts the process (nanobind). So Ctrl-C waits for the
end of the import, unless it is pressed again; and any error of a command after Ctrl-C counts as an interrupt.
"""

from __future__ import annotations

import atexit
import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["patient_interrupts", "stop_on_signals"]

_LOOK_AGAIN = 0.02  # seconds
_MOST_LOOKS = 1500  # half a minute, longer than any import of a library


@contextlib.contextmanager
def patient_interrupts() -> Iterator[None]:
    """Run a command in this block; see the module.

    Where SIGINT has another handler already, as in a background job of a shell, nothing changes.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed, and the block ended with any error.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    ctrl_c = _CtrlC()
    try:
        signal.signal(signal.SIGINT, ctrl_c.pressed)
    except ValueError:  # not the main thread, which is where Ctrl-C arrives
        yield
        return
    # A finished command keeps its exit code, also while libraries take long to unload.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    except BaseException as error:
        if ctrl_c.was_pressed:
            raise KeyboardInterrupt from error
        raise
    finally:
        ctrl_c.forget()


def stop_on_signals(stop: threading.Event) -> None:
    """Set the event on Ctrl-C, SIGTERM and a closed terminal.

    A signal that was ignored at the start, as by nohup or in a background job of a shell, stays ignored.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: stop.set())


class _CtrlC:
    """The handlers of Ctrl-C and, while it waits, of a timer."""

    def __init__(self) -> None:
        self.was_pressed = False
        self._looks = 0

    def pressed(self, number: int, frame: FrameType | None) -> None:
        if self.was_pressed or not hasattr(signal, "setitimer"):  # Windows has none
            self.was_pressed = True
            signal.default_int_handler(number, frame)
        self.was_pressed = True
        signal.signal(signal.SIGALRM, self._look)
        self._look(number, frame)

    def _look(self, number: int, frame: FrameType | None) -> None:
        self._looks += 1
        if self._looks > _MOST_LOOKS or not _imports(frame):
            signal.default_int_handler(number, frame)
        signal.setitimer(signal.ITIMER_REAL, _LOOK_AGAIN)

    def forget(self) -> None:
        """Restore Ctrl-C; one that still waits is dropped."""
        if self._looks:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if signal.getsignal(signal.SIGINT) == self.pressed:  # a command may have set its own
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _imports(frame: FrameType | None) -> bool:
    """Whether the main thread, interrupted at this frame, is within an import."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
