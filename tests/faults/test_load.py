"""Ten thousand frames: memory stays where it was, and a leak would be seen."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import InputError, UsageError

STATM = Path("/proc/self/statm")
LARGEST = 400
WARM_UP = 150

needs_proc = pytest.mark.skipif(not STATM.exists(), reason="needs /proc")


def resident():
    """Bytes of memory that this process has now."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def soak(segment, frames, seed=5):
    """Segment frames of random sizes. Returns the peak above warm-up and the slope a frame, in bytes."""
    random = np.random.default_rng(seed)
    canvas = random.integers(0, 256, (LARGEST, LARGEST, 3), np.uint8)
    segment(canvas)  # the largest first: what it takes is taken
    samples = []
    for number in range(WARM_UP + frames):
        height, width = random.integers(1, LARGEST + 1, 2)
        segment(canvas[:height, :width])
        if number >= WARM_UP and number % 10 == 0:
            samples.append(resident())
    slope = np.polyfit(np.arange(len(samples)) * 10.0, np.array(samples, float), 1)[0]
    return max(samples) - samples[0], slope


def check_flat(found, frames):
    peak, slope = found
    print(f"{frames} frames: peak {peak / 1e6:.2f} MB above warm-up, slope {slope:.1f} bytes a frame")
    assert peak < 8 << 20
    assert slope * frames < 4 << 20


def measure(model, leaking):
    """`soak` over 300 frames, for a process of its own: memory that other tests freed would hide a leak."""
    kept = []

    def leak(image):
        kept.append(segmenter(image).labels.copy())

    with Segmenter(model, "cpu", 1) as segmenter:
        return soak(leak if leaking else segmenter, 300)


@pytest.mark.security("frames of many sizes, ten thousand of them", "memory flat; a leak would be seen")
@needs_proc
def test_memory_does_not_grow_with_frames_of_many_sizes(model_path):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        flat, leak = pool.map(measure, [model_path("rgb")] * 2, [False, True])
    check_flat(flat, 300)
    with pytest.raises(AssertionError):
        check_flat(leak, 300)


@pytest.mark.security("frames of many sizes, ten thousand of them", "memory flat; a leak would be seen")
@pytest.mark.slow
@needs_proc
def test_memory_does_not_grow_over_ten_thousand_frames(model_path):
    with Segmenter(model_path("rgb"), "cpu") as segmenter:
        check_flat(soak(segmenter, 10_000), 10_000)


@pytest.mark.security("16 threads, mixed sizes", "equal the serial result")
@pytest.mark.slow
def test_sixteen_threads_for_long_equal_the_serial_result(model_path):
    random = np.random.default_rng(11)
    canvas = random.integers(0, 256, (LARGEST, LARGEST, 3), np.uint8)
    sizes = random.integers(1, LARGEST + 1, (640, 2))
    with Segmenter(model_path("rgb"), "cpu") as segmenter:
        expected = [segmenter(canvas[:h, :w]) for h, w in sizes]
        wrong, refused = [], []

        def work(start):
            for index in range(start, len(sizes), 16):
                height, width = sizes[index]
                if index % 7 == 0:
                    try:
                        segmenter(canvas[:height, :width].astype(np.int64))
                    except InputError:
                        refused.append(index)
                got = segmenter(canvas[:height, :width])
                same = (got.labels == expected[index].labels).all()
                if not same or not np.array_equal(got.confidence, expected[index].confidence):
                    wrong.append(index)

        run_threads([threading.Thread(target=work, args=(start,)) for start in range(16)])
    assert wrong == []
    assert len(refused) == len(range(0, len(sizes), 7))


@pytest.mark.security("closed while in use", "calls finish, or an error reports it")
def test_closing_while_threads_call_lets_calls_finish_or_fail(model_path):
    image = np.random.default_rng(1).integers(0, 256, (120, 160, 3), np.uint8)
    current = [Segmenter(model_path("plain"), "cpu", 1)]
    expected = current[0](image).labels
    over, bad, closed = threading.Event(), [], []

    def work():
        while not over.is_set():
            try:
                if not (current[0](image).labels == expected).all():
                    bad.append("other labels")
            except UsageError as error:
                closed.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        opened = Segmenter(model_path("plain"), "cpu", 1)
        old, current[0] = current[0], opened
        old.close()
    current[0].close()
    while not closed:
        pass
    over.set()
    run_threads(threads, started=True)
    assert bad == []
    assert all("was closed" in message for message in closed)


def run_threads(threads, *, started=False):
    for thread in () if started else threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=600)
        assert not thread.is_alive()
