"""The log of a loop as its executor writes it, and the run as it stands after what was written last."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from runwright.agents.notes import Kept, Note
from runwright.domain import runtime_events as r
from runwright.domain.bound_terms import bound
from runwright.domain.course import Course
from runwright.domain.loop_course import LoopCourse
from runwright.domain.loop_terms import LoopTerms
from runwright.domain.run import Run
from runwright.domain.runtime_terms import RuntimeTerms, Stage
from runwright.engine.attempt import Attempt
from runwright.engine.packing import Saving
from runwright.errors import Internal


class Journal:
    """Writes what happened, durable when it returns; what it says of the run includes that."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.run: Run = bound(attempt.run)

    @property
    def course(self) -> Course:
        """Return how far the run has come."""
        if self.run.course is None:
            raise Internal("a loop has no course")
        return self.run.course

    @property
    def loop(self) -> LoopCourse:
        """Return where the loop stands."""
        if self.course.loop is None:
            raise Internal("a loop has no course of its own")
        return self.course.loop

    @property
    def runtime(self) -> RuntimeTerms:
        """Return the terms of the run that hold."""
        if self.run.spec.runtime is None:
            raise Internal("a loop has no terms")
        return self.run.spec.runtime

    @property
    def terms(self) -> LoopTerms:
        """Return the terms of the loop that hold."""
        if self.runtime.loop is None:
            raise Internal("a loop has no terms of its own")
        return self.runtime.loop

    async def write(self, notes: Sequence[Note], kept: Sequence[Kept] = ()) -> None:
        """Append events, and store values with them, in one transaction.

        Ends who was cancelled while a command was cleared up, which is done to the end whoever cancels.
        """
        attempt = self.attempt
        run = await attempt.append(await attempt.pack([Saving(notes), Saving((), kept)]))
        self.run = bound(run)
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError

    def moved(self, stage: Stage) -> list[Note]:
        """Return what says that the run has come to another stage; nothing where it is there."""
        before = self.course.stage
        return [] if before == stage else [Note("run.stage_changed", r.StageChanged(before=before, after=stage))]
