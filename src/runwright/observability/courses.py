"""What the metrics tell of runs over a workspace: how they ended, and what became of their steps and iterations."""

from __future__ import annotations

import contextlib

import msgspec

from runwright.domain.loop_terms import LLM
from runwright.domain.run import Run
from runwright.domain.runtime_events import StepEnded
from runwright.fixers.available import NAMES
from runwright.observability import catalogue as m
from runwright.observability.tallies import Counter

STEP_ENDED = "step.completed"
_PATCHERS = frozenset({*NAMES, LLM})


class CourseTallies:
    """Counts ends, steps and iterations, once durable, whoever executed them; `shown` are its metrics."""

    def __init__(self) -> None:
        self._ended = Counter(m.RUNTIME_ENDED)
        self._steps = Counter(m.RUNTIME_STEPS)
        self._loops = Counter(m.LOOPS_ENDED)
        self._iterations = Counter(m.LOOP_ITERATIONS)
        self.shown = (self._ended, self._steps, self._loops, self._iterations)

    def end(self, run: Run) -> None:
        """Count a run that has ended; one that is none of these counts elsewhere."""
        terms, course = run.spec.runtime, run.course
        if terms is not None and course is not None and course.stop is not None:
            self._ended.add((terms.mode, course.stop.code, course.gate_status))
        if terms is not None and terms.loop is not None:
            self._loop_ended(run)

    def _loop_ended(self, run: Run) -> None:
        """Count a loop with its iterations; one that ended before it began has none."""
        loop = None if run.course is None else run.course.loop
        never = "cancelled" if run.state == "cancelled" else "infra_error"
        self._loops.add(((None if loop is None else loop.exit_reason) or never,))
        for each in () if loop is None else loop.iterations:
            self._iterations.add((each.patcher if each.patcher in _PATCHERS else "other", each.outcome))

    def step(self, run: Run, data: bytes | None) -> None:
        """Count a step of such a run."""
        if run.spec.runtime is not None:
            with contextlib.suppress(msgspec.MsgspecError):
                told = msgspec.json.decode(data or b"", type=StepEnded)
                self._steps.add((told.kind, told.status))
