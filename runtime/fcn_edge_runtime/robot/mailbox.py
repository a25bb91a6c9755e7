"""Latest: a mailbox with one slot. A slow consumer gets the newest message, never an old one."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Latest", "MailboxCounts"]

T = TypeVar("T")


@dataclass(frozen=True)
class MailboxCounts:
    """Messages that went through a mailbox: put == taken + dropped + waiting, where waiting is 0 or 1."""

    put: int
    taken: int
    dropped: int


class Latest(Generic[T]):
    """One slot between a callback that must not block and a slower worker.

    `put` never blocks and replaces a message that has not been taken, which counts as dropped. Any number of
    threads may put and take.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: tuple[T, float] | None = None
        self._put = self._taken = self._dropped = 0
        self._closed = False

    def put(self, item: T) -> bool:
        """Store the newest message; True if it replaced one that was not taken. A closed mailbox drops it."""
        with self._changed:
            self._put += 1
            if self._closed:
                self._dropped += 1
                return False
            replaced = self._item is not None
            self._dropped += replaced
            self._item = (item, time.monotonic())
            self._changed.notify()
            return replaced

    def take(self, timeout: float | None = None) -> T | None:
        """Wait for a message and take it; None after `timeout` seconds, or once the mailbox is closed."""
        aged = self.take_aged(timeout)
        return None if aged is None else aged[0]

    def take_aged(self, timeout: float | None = None) -> tuple[T, float] | None:
        """Like `take`, with the seconds that the message waited."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout)
            if self._item is None:
                return None
            (item, since), self._item = self._item, None
            self._taken += 1
            return item, time.monotonic() - since

    def close(self) -> None:
        """Wake waiting threads. A stored message can still be taken; new ones are dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        with self._changed:
            return self._closed

    @property
    def counts(self) -> MailboxCounts:
        """A consistent snapshot of the counters."""
        with self._changed:
            return MailboxCounts(self._put, self._taken, self._dropped)
