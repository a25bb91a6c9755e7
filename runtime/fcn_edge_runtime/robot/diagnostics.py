"""What a worker's status means to a person who watches the robot: a level, one line, and values."""

from __future__ import annotations

from dataclasses import dataclass

from fcn_edge_runtime.robot.worker import WorkerStatus

__all__ = ["ERROR", "OK", "SILENCE_SECONDS", "WARN", "Diagnostic", "diagnose"]

# The levels of diagnostic_msgs/DiagnosticStatus.
OK, WARN, ERROR = 0, 1, 2
SILENCE_SECONDS = 2.0


@dataclass(frozen=True)
class Diagnostic:
    """One diagnostic_msgs/DiagnosticStatus without its name: level, message, and key-value pairs."""

    level: int
    message: str
    values: tuple[tuple[str, str], ...]


def diagnose(
    status: WorkerStatus, before: WorkerStatus | None, *, topic: str, qos: str, publishers: int, provider: str
) -> Diagnostic:
    """Judge a status against the one before it.

    Args:
        status: now.
        before: about a second ago; None the first time.
        topic: the input's name.
        qos: the input's QoS, as text.
        publishers: how many publishers match it.
        provider: what runs the model.
    """
    refused = status.refused - (before.refused if before else 0)
    if status.silence > SILENCE_SECONDS:
        why = (
            "nobody publishes it, or not with a QoS that matches"
            if publishers == 0
            else f"publishers there: {publishers}, but no message: does their QoS match?"
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
        ("last refusal", status.last_error),
    )
    return Diagnostic(level, text, values)
