from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.robot.diagnostics import ERROR, OK, WARN, diagnose
from fcn_edge_runtime.robot.mailbox import Latest
from fcn_edge_runtime.robot.messages import Header, Stamp
from fcn_edge_runtime.robot.stats import Window
from fcn_edge_runtime.robot.worker import Limits, Worker
from tests.runtime.robot.messages import image_of


def worker_of(pipeline, limits=None, now=time.time_ns):
    sent = []

    def publish(frame):
        sent.append(frame)
        return 0

    return Worker(pipeline, lambda item: item, lambda: (False, False), publish, limits, now), sent


def stamped(frame, seconds):
    return image_of(frame, header=Header(Stamp(seconds), "camera"))


def test_the_newest_message_replaces_one_that_was_not_taken():
    box = Latest()
    assert [box.put(i) for i in range(4)] == [False, True, True, True]
    assert box.take(0) == 3
    assert box.take(0) is None
    assert (box.counts.put, box.counts.taken, box.counts.dropped) == (4, 1, 3)


def test_closing_a_mailbox_wakes_waiting_threads():
    box = Latest()
    threading.Timer(0.05, box.close).start()
    assert box.take() is None
    assert box.put(1) is False
    assert box.counts.dropped == 1


def test_counters_add_up_with_many_threads():
    box, taken = Latest(), []
    threads = [threading.Thread(target=lambda: [box.put(i) for i in range(500)]) for _ in range(4)]
    reader = threading.Thread(target=lambda: taken.extend(iter(lambda: box.take(0.5), None)))
    for thread in (reader, *threads):
        thread.start()
    for thread in (*threads, reader):
        thread.join()
    counts = box.counts
    assert counts.put == 2000 == counts.taken + counts.dropped
    assert counts.taken == len(taken)


def test_putting_a_message_never_waits_for_inference(pipeline, frames):
    entered, leave = threading.Event(), threading.Event()

    def publish(_):
        entered.set()
        assert leave.wait(10)
        return 0

    worker = Worker(pipeline, lambda item: item, lambda: (False, False), publish)
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    worker.put(stamped(frames[0], 1))
    assert entered.wait(10)
    for second in range(2, 50):  # the worker is busy, and these still return
        worker.put(stamped(frames[0], second))
    assert worker.status().dropped == 47
    stop.set()
    leave.set()
    thread.join(10)
    assert not thread.is_alive()


def test_a_slow_worker_segments_the_newest_message(pipeline, frames):
    worker, sent = worker_of(pipeline)
    for second in range(5):
        worker.put(stamped(frames[0], second))
    worker.mailbox.close()
    worker.run(threading.Event())
    assert [frame.mask.header.stamp.sec for frame in sent] == [4]


def test_frames_are_younger_than_two_inference_times(pipeline, frames):
    large = np.tile(frames[0], (4, 4, 1))
    worker, _ = worker_of(pipeline)
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    period, message = 0.02, image_of(large)
    for _ in range(100):
        header = Header(Stamp.of(time.time_ns()), "camera")
        worker.put(dataclasses.replace(message, header=header))
        time.sleep(period)
    stop.set()
    thread.join(30)
    status = worker.status()
    print(f"inference p50 {status.latency_p50_ms:.0f} ms, age p50 {status.age_p50_ms:.0f} ms")
    assert status.dropped > 0
    assert status.age_p50_ms < 2 * status.latency_p50_ms + period * 1000


def test_bad_messages_are_counted_and_the_next_is_segmented(pipeline, frames):
    worker, sent = worker_of(pipeline)
    good = stamped(frames[0], 1)
    for item in (dataclasses.replace(good, encoding="yuv422"), dataclasses.replace(good, step=5), good):
        worker.step(item)
    status = worker.status()
    assert (status.refused, status.segmented, len(sent)) == (2, 1, 1)
    assert "step is 5" in status.last_error


def test_old_frames_and_frames_above_the_rate_are_dropped(pipeline, frames):
    worker, sent = worker_of(pipeline, Limits(max_frame_age=1.0, max_rate=0.5), now=lambda: 100_500_000_000)
    for second in (90, 99, 100, 100):
        worker.step(stamped(frames[0], second))
    status = worker.status()
    assert (status.stale, status.limited, status.segmented) == (2, 1, 1)
    assert sent[0].mask.header.stamp.sec == 100


@pytest.mark.parametrize("limits", [{"max_rate": -1}, {"max_frame_age": float("nan")}])
def test_limits_out_of_range_are_refused(limits):
    with pytest.raises(UsageError, match="expected 0"):
        Limits(**limits)


def test_diagnostics_warn_about_silence_with_topic_and_qos(pipeline, frames):
    worker, _ = worker_of(pipeline)
    context = {"topic": "/front", "qos": "best effort, depth 1", "provider": "cpu"}
    worker.put(stamped(frames[0], 1))
    worker.step(worker.mailbox.take(0))
    fresh = diagnose(worker.status(), None, publishers=1, **context)
    assert (fresh.level, dict(fresh.values)["frames segmented"]) == (OK, "1")
    silent = dataclasses.replace(worker.status(), silence=2.1)
    report = diagnose(silent, None, publishers=0, **context)
    assert report.level == WARN
    assert report.message == "no image on /front (best effort, depth 1) for 2 s: its publishers left"
    paused = diagnose(silent, None, publishers=1, **context)
    assert paused.message.endswith("its publishers (1) paused, or large images are lost on the way")
    never = diagnose(dataclasses.replace(silent, received=0), None, publishers=1, **context)
    assert never.message.endswith("no message arrived: check their QoS")
    alone = diagnose(dataclasses.replace(silent, received=0), None, publishers=0, **context)
    assert alone.message.endswith("it has no publisher, or none with a matching QoS")
    refused = dataclasses.replace(worker.status(), refused=3, last_error="the step is wrong")
    assert "3 images refused: the step is wrong" in diagnose(refused, None, publishers=1, **context).message


def test_a_frame_that_takes_too_long_is_an_error_until_it_ends(pipeline, frames):
    entered, leave = threading.Event(), threading.Event()

    def decode(item):
        entered.set()
        assert leave.wait(10)
        return item

    worker = Worker(pipeline, decode, lambda: (False, False), lambda _: 0)
    thread = threading.Thread(target=worker.step, args=(stamped(frames[0], 1),))
    thread.start()
    assert entered.wait(10)
    time.sleep(0.05)
    status = worker.status()
    assert status.busy >= 0.05
    context = {"topic": "/front", "qos": "best effort", "provider": "cpu", "publishers": 1}
    later = diagnose(dataclasses.replace(status, busy=4.5), None, **context)
    assert (later.level, later.message) == (
        ERROR,
        "stuck: one frame takes 4 s so far, in its decoder or on cpu",
    )
    leave.set()
    thread.join(10)
    assert worker.status().busy == 0
    assert diagnose(worker.status(), None, **context).level != ERROR


def test_latencies_are_quantiles_of_the_last_frames():
    window = Window(size=100)
    assert window.quantiles(0.5, 0.95) == (0.0, 0.0)
    for value in (*[1e9] * 50, *range(100)):
        window.add(value)
    assert window.quantiles(0.5, 1.0) == (49.5, 99.0)


def test_importing_the_robot_modules_loads_only_numpy():
    # Some modules derive from a library's own classes, and are imported where that library is needed.
    code = (
        "import sys, pkgutil, importlib, fcn_edge_runtime.robot as r\n"
        "for m in pkgutil.walk_packages(r.__path__, r.__name__ + '.'):\n"
        "    if not m.name.endswith(('.dds.types', '.bag.storages', '.bag.ros1_reader')):\n"
        "        importlib.import_module(m.name)\n"
        "heavy = {'rosbags', 'cyclonedds', 'cv2', 'PIL', 'torch', 'onnx', 'onnxruntime', 'rclpy', 'click'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
