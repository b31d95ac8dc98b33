"""Start the runs of schedules: on every server, and each fire once.

The loop proposes, the commit decides: a fire is made if its schedule still stands as the loop saw it, in the
transaction that moves the schedule on. So it does not matter how many servers propose it, or where one of them ends.
"""

from __future__ import annotations

import asyncio
from random import getrandbits

import msgspec
from msgspec.structs import replace

from runwright.clock import Clock
from runwright.domain.accounts import Project
from runwright.domain.commands import Submit
from runwright.domain.job import Job
from runwright.domain.ports import ProjectSealer
from runwright.domain.schedule import Due, Schedule, due
from runwright.domain.tenancy import Actor
from runwright.engine.commit import Commit
from runwright.engine.loops import Loop
from runwright.engine.orders import Order
from runwright.engine.requests import Fire, Fired
from runwright.engine.steady import Steady
from runwright.engine.submit import Submitter
from runwright.errors import Error, StoreError
from runwright.store.base import Store
from runwright.store.queries.schedules import DUE, NEXT_FIRE, DueSchedule
from runwright.store.queries.schedules import due as due_from
from runwright.telemetry import report

AGAIN_S = 0.2
"""When to look again after somebody else had a schedule: most likely it has moved on by then."""


class CronTerms(msgspec.Struct, frozen=True):
    """The bounds of the loop: schedules of a round, fires made up for at once, how late one is missed, the poll."""

    batch: int
    catch_up_max: int
    late_us: int
    poll_s: float


class CronLoop:
    """Fires what is due, sleeps until the next fire, and looks every few seconds what other servers have changed."""

    def __init__(
        self,
        store: Store,
        commit: Commit,
        submitter: Submitter,
        sealer: ProjectSealer,
        clock: Clock,
        steady: Steady,
        terms: CronTerms,
    ) -> None:
        self._store = store
        self._commit = commit
        self._submitter = submitter
        self._sealer = sealer
        self._clock = clock
        self._steady = steady
        self._terms = terms
        self.loop = Loop("cron", self._once, clock, every_s=terms.poll_s)

    async def _once(self) -> None:
        if not self._steady.now:
            return  # a clock that has just jumped says nothing of what is due
        now = self._clock.now()
        found = [due_from(row) for row in await self._store.fetch(DUE, at=now, limit=self._terms.batch)]
        # Each in a group of its own: where one breaks a transaction, the others are written without it.
        moved = await asyncio.gather(*(self._fire(each, now) for each in found), return_exceptions=True)
        for outcome in moved:
            if isinstance(outcome, BaseException):
                raise outcome
        if not all(moved):
            self.loop.next_s = AGAIN_S
        elif len(found) == self._terms.batch:
            self.loop.next_s = 0.0
        else:
            next_at = (await self._store.fetch(NEXT_FIRE))[0][0]
            if next_at is not None:
                self.loop.next_s = max(next_at - self._clock.now(), 0) / 1e6

    async def _fire(self, found: DueSchedule, now: int) -> bool:
        """Fire a schedule that is due; return whether it has moved on. What cannot be made is told, and left out."""
        seen, job, project = found.schedule, found.job, found.project
        cron = job.definition.schedule if job is not None else None
        if job is None or project is None or cron is None or seen.next_fire_at is None:
            report("cron.orphaned", job_id=seen.job_id)
            return await self._commit.apply(Fire(seen=seen, next_fire_at=None)) is not None
        terms, policy = self._terms, job.definition.catch_up
        coming = due(cron, seen.next_fire_at, now, policy, most=terms.catch_up_max, late_us=terms.late_us)
        fire = Fire(seen=seen, next_fire_at=coming.next_fire_at, overlap=job.definition.overlap)
        try:
            submits = [await self._submit(job, project, at) for at in coming.fires]
            made = replace(fire, submits=tuple(submits), fired_at=tuple(coming.fires))
            fired = await self._commit.apply(made)
        except Error as refused:
            if refused.retryable or (isinstance(refused, StoreError) and not refused.code.startswith("keyring.")):
                raise
            # Or it would stand in the way of all fires that come after it.
            report("cron.refused", job_id=seen.job_id, code=refused.code, detail=refused.detail)
            fired = await self._commit.apply(fire)
        if fired is not None:
            _tell(seen, coming, fired)
        return fired is not None

    async def _submit(self, job: Job, project: Project, at: int) -> Submit:
        await self._sealer.ensure(project.project_id)
        actor = Actor(kind="system", id="cron", org_id=job.org_id)
        order = Order(payload=job.definition.payload_template, scheduled_at=at, triggered_by="cron")
        trace_id = f"{getrandbits(128) or 1:032x}"
        return self._submitter.command(actor, project, job, order, request_id=None, trace_id=trace_id)


def _tell(seen: Schedule, coming: Due, fired: Fired) -> None:
    if coming.dropped:
        report("cron.missed", job_id=seen.job_id, fires=coming.dropped)
    if fired.skipped:
        report("cron.skipped", job_id=seen.job_id, fires=fired.skipped, run_id=seen.last_run_id)
    if fired.cancelled is not None:
        report("cron.cancelled", job_id=seen.job_id, run_id=fired.cancelled)
    for run in fired.runs:
        late_us = max(run.at - (run.spec.scheduled_at or run.at), 0)
        report("cron.fired", job_id=seen.job_id, run_id=run.run_id, late_us=late_us)
