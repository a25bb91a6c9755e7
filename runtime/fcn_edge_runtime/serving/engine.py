"""One thread runs the network; images of one size that wait run together."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from fcn_edge_runtime.segmentation import Segmentation
from fcn_edge_runtime.segmenter import Segmenter
from fcn_edge_runtime.together import part_of_batch

__all__ = ["Engine"]


@dataclass
class _Waiting:
    images: np.ndarray  # (N, H, W, C)
    result: Future[Segmentation] = field(default_factory=Future)


class Engine:
    """Runs images in the order in which they come.

    Args:
        segmenter: the open model.
        most: images that run together; one request alone may have more.
    """

    def __init__(self, segmenter: Segmenter, most: int) -> None:
        self._segmenter, self._most = segmenter, most
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="fcn-edge-engine", daemon=True)
        self._thread.start()

    def submit(self, images: np.ndarray) -> Future[Segmentation]:
        """Segment a batch (N, H, W, C). The result is that of the whole batch.

        The future raises what `Segmenter` raises.
        """
        entry = _Waiting(images)
        with self._changed:
            self._waiting.append(entry)
            self._changed.notify()
        return entry.result

    def close(self) -> None:
        """End after the images that wait."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                together = self._next()
            self._run([entry for entry in together if entry.result.set_running_or_notify_cancel()])

    def _next(self) -> list[_Waiting]:
        """The first that waits, with others of its size, without overtaking those of another size."""
        together = [self._waiting.popleft()]
        count, shape = len(together[0].images), together[0].images.shape[1:]
        while self._waiting:
            following = self._waiting[0].images
            if following.shape[1:] != shape or count + len(following) > self._most:
                break
            count += len(following)
            together.append(self._waiting.popleft())
        return together

    def _run(self, together: list[_Waiting]) -> None:
        if not together:
            return
        try:
            images = (
                together[0].images if len(together) == 1 else np.concatenate([e.images for e in together])
            )
            result = self._segmenter(images)
        except Exception as error:  # noqa: BLE001 - whoever waits raises it
            if len(together) > 1:  # one of them may be at fault
                for entry in together:
                    self._run([entry])
            else:
                together[0].result.set_exception(error)
            return
        start = 0
        for entry in together:
            end = start + len(entry.images)
            entry.result.set_result(part_of_batch(result, start, end))
            start = end
