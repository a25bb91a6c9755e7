"""A worker's status as a ROS diagnostic: a level, a one-line message, and key-value pairs."""

from __future__ import annotations

from dataclasses import dataclass

from fcn_edge_runtime.robot.worker import WorkerStatus

__all__ = ["BUSY_SECONDS", "ERROR", "OK", "SILENCE_SECONDS", "WARN", "Diagnostic", "diagnose"]

# The levels of diagnostic_msgs/DiagnosticStatus.
OK, WARN, ERROR = 0, 1, 2
SILENCE_SECONDS = 2.0
BUSY_SECONDS = 4.0  # no frame of a robot is worth waiting longer for


@dataclass(frozen=True)
class Diagnostic:
    """One diagnostic_msgs/DiagnosticStatus without its name: level, message, and key-value pairs."""

    level: int
    message: str
    values: tuple[tuple[str, str], ...]


def diagnose(
    status: WorkerStatus, before: WorkerStatus | None, *, topic: str, qos: str, publishers: int, provider: str
) -> Diagnostic:
    """Compare a status with the previous one.

    Args:
        status: the current status.
        before: the status about a second ago; None the first time.
        topic: the input's name.
        qos: the input's QoS, as text.
        publishers: how many publishers match it.
        provider: the device that runs the model.
    """
    refused = status.refused - (before.refused if before else 0)
    if status.busy > BUSY_SECONDS:
        level, text = (
            ERROR,
            f"stuck: one frame takes {status.busy:.0f} s so far, in its decoder or on {provider}",
        )
    elif status.silence > SILENCE_SECONDS:
        why = (
            f"its publishers ({publishers}) paused, or large images are lost on the way"
            if status.received and publishers
            else "its publishers left"
            if status.received
            else f"it has publishers ({publishers}), but no message arrived: check their QoS"
            if publishers
            else "it has no publisher, or none with a matching QoS"
        )
        level, text = WARN, f"no image on {topic} ({qos}) for {status.silence:.0f} s: {why}"
    elif refused:
        level, text = WARN, f"{refused} images refused: {status.last_error}"
    else:
        level, text = OK, f"{status.output_hz:.1f} Hz, p50 {status.latency_p50_ms:.0f} ms"
    values = (
        ("provider", provider),
        ("input topic", topic),
        ("input QoS", qos),
        ("publishers", str(publishers)),
        ("input rate (Hz)", f"{status.input_hz:.2f}"),
        ("output rate (Hz)", f"{status.output_hz:.2f}"),
        ("latency p50 (ms)", f"{status.latency_p50_ms:.1f}"),
        ("latency p95 (ms)", f"{status.latency_p95_ms:.1f}"),
        ("frame age p50 (ms)", f"{status.age_p50_ms:.1f}"),
        ("frame age p95 (ms)", f"{status.age_p95_ms:.1f}"),
        ("frames received", str(status.received)),
        ("frames segmented", str(status.segmented)),
        ("frames dropped for newer ones", str(status.dropped)),
        ("frames dropped for their age", str(status.stale)),
        ("frames dropped for the rate", str(status.limited)),
        ("frames refused", str(status.refused)),
        ("outputs not sent in time", str(status.unsent)),
        ("current frame (s)", f"{status.busy:.1f}"),
        ("last refusal", status.last_error),
    )
    return Diagnostic(level, text, values)
