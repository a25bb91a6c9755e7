"""A receiver of progress that keeps what was reported."""

from __future__ import annotations


class Recorded:
    """Everything that was reported.

    Attributes:
        stages: (name, total, unit) of each stage that started.
        advances: (done, total) of each report, `total` as far as it is known.
        summaries: of each stage that finished.
        expected: (seconds of the current stage, seconds of those after it) of each expectation.
    """

    def __init__(self):
        self.stages, self.advances, self.summaries, self.expected = [], [], [], []
        self._total = None

    def start(self, stage, total=None, unit=""):
        self._total = total
        self.stages.append((stage, total, unit))

    def advance(self, done, total=None):
        self._total = self._total if total is None else total
        self.advances.append((done, self._total))

    def finish(self, summary=""):
        self.summaries.append(summary)

    def expect(self, seconds, after=0.0):
        self.expected.append((seconds, after))
