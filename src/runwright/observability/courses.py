"""What the metrics tell of runs over a workspace: how they ended, and what became of their steps."""

from __future__ import annotations

import contextlib

import msgspec

from runwright.domain.run import Run
from runwright.domain.runtime_events import StepEnded
from runwright.observability import catalogue as m
from runwright.observability.tallies import Counter

STEP_ENDED = "step.completed"


class CourseTallies:
    """Counts ends and steps, once durable, whichever server executed them; `shown` are its metrics."""

    def __init__(self) -> None:
        self._ended = Counter(m.RUNTIME_ENDED)
        self._steps = Counter(m.RUNTIME_STEPS)
        self.shown = (self._ended, self._steps)

    def end(self, run: Run) -> None:
        """Count a run that has ended; one that is none of these counts elsewhere."""
        terms, course = run.spec.runtime, run.course
        if terms is not None and course is not None and course.stop is not None:
            self._ended.add((terms.mode, course.stop.code, course.gate_status))

    def step(self, run: Run, data: bytes | None) -> None:
        """Count a step of such a run."""
        if run.spec.runtime is not None:
            with contextlib.suppress(msgspec.MsgspecError):
                told = msgspec.json.decode(data or b"", type=StepEnded)
                self._steps.add((told.kind, told.status))
