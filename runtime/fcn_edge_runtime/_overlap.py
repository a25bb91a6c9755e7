"""Reading, the network and writing at once: of a row of items, each is in one of three threads.

Items are made in the thread of the caller, since Pillow's warnings and what its libraries print belong to the
process. What comes out is in the order of the items, and few of them are in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["attempted", "overlapped"]

# Items that are made before the result of an earlier one is taken; less where they are large, but two.
_AHEAD, _AHEAD_VALUES = 4, 16_000_000

T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S")


def overlapped(
    items: Iterable[T],
    run: Callable[[T], R],
    write: Callable[[R], S],
    size: Callable[[T], int] = lambda _: 0,
) -> Generator[Future[S], None, None]:
    """Do two steps with each item: the first with one while the second is done with the one before.

    Args:
        items: iterated in this thread. What it raises is raised after the results of the items before.
        run: the first step, called in the order of the items by one thread.
        write: the second step, called with what the first gave, in the same order by another thread.
        size: numbers that an item holds: of large items fewer are made ahead.

    Yields:
        A future of each item that is done: its `result` is that of `write`, or raises what a step raised.
        The steps with other items go on then, until the caller ends the iteration.
    """
    pending: deque[tuple[int, Future[S]]] = deque()
    runner, writer = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
    failure: Exception | None = None
    source = iter(items)
    try:
        while True:
            try:
                item = next(source)
            except StopIteration:
                break
            except Exception as error:  # noqa: BLE001 - it is raised below, in its turn
                failure = error
                break
            ran = runner.submit(run, item)
            pending.append((size(item), writer.submit(_after, ran, write)))
            del item
            while len(pending) >= _AHEAD or (len(pending) > 1 and sum(n for n, _ in pending) > _AHEAD_VALUES):
                yield _done(pending)
        while pending:
            yield _done(pending)
    finally:  # also where the caller stopped, or the user did
        for executor in (runner, writer):
            executor.shutdown(cancel_futures=True)
    if failure is not None:
        raise failure


def attempted(step: Callable[[], T]) -> Future[T]:
    """What a step gave or raised, as a future that is done: for items that may fail one by one."""
    future: Future[T] = Future()
    try:
        future.set_result(step())
    except Exception as error:  # noqa: BLE001 - whoever asks for the result raises it
        future.set_exception(error)
    return future


def _after(ran: Future[R], write: Callable[[R], S]) -> S:
    return write(ran.result())


def _done(pending: deque[tuple[int, Future[S]]]) -> Future[S]:
    _, future = pending.popleft()
    future.exception()  # waits
    return future
