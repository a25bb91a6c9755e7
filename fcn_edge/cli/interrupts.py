"""Ctrl-C while a command runs: it waits for a running import, and always ends the command as an interrupt.

Python raises KeyboardInterrupt wherever the program is. During the import of a compiled module that is inside
C++, which turns it into an ImportError (pybind11) or aborts the process (nanobind). So Ctrl-C waits for the
end of the import, unless it is pressed again; and any error of a command after Ctrl-C counts as an interrupt.
Once the command is done, Ctrl-C ends the process at once: while the interpreter shuts down, an exception is
printed and ignored.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["patient_interrupts", "stop_on_signals"]

_LOOK_AGAIN = 0.02  # seconds
_MOST_LOOKS = 1500  # half a minute, longer than any import of a library


@contextlib.contextmanager
def patient_interrupts() -> Iterator[None]:
    """Run a command in this block, the last of the process; see the module.

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
    # After the last function that runs at exit, Python runs no handler any more: the system ends the process.
    atexit.register(_leave_it_to_the_system)
    try:
        yield
    except BaseException as error:
        if ctrl_c.was_pressed:
            raise KeyboardInterrupt from error
        raise
    finally:
        ctrl_c.command_is_done()


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

    def command_is_done(self) -> None:
        """End the process at the next Ctrl-C; one that still waits for an import is dropped."""
        if self._looks:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._leave)

    def _leave(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if not self.was_pressed:
            with contextlib.suppress(OSError):
                os.write(2, b"error: interrupted\n")
        os._exit(130)


def _leave_it_to_the_system() -> None:
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _imports(frame: FrameType | None) -> bool:
    """Whether the main thread, interrupted at this frame, is within an import."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
