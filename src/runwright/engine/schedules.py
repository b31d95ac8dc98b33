"""Keep the schedule of a job in the transactions that change the job, and tell when it fires."""

from __future__ import annotations

from itertools import islice

import msgspec

from runwright.clock import Clock
from runwright.domain.job import Job
from runwright.domain.schedule import Cron, Schedule, fires, next_fire
from runwright.domain.tenancy import Actor
from runwright.errors import Conflict, NotFound
from runwright.store.base import Store, Transaction
from runwright.store.queries import schedules as q


class Outlook(msgspec.Struct, frozen=True):
    """A schedule and its job, with the instants (µs) at which it will fire; none for a disabled job."""

    job: Job
    schedule: Schedule
    upcoming: list[int]


class Schedules:
    """Read the schedules of jobs."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def outlook(self, actor: Actor, job: Job, count: int) -> Outlook:
        """Return the schedule of a job and its next `count` fires. Raises `Conflict` for a job without cron."""
        actor.require("jobs:read")
        if not actor.sees(job.org_id, job.project_id):
            raise NotFound("job", job.job_id)
        cron = job.definition.schedule
        own = self._store.within(actor.org_id)
        found = await own.fetch(q.SCHEDULE, job_id=job.job_id) if cron is not None else []
        if cron is None or not found:
            raise Conflict(f"the job {job.slug!r} has no schedule; give it one with cron", code="jobs.no_cron")
        schedule = q.schedule(found[0])
        coming = fires(cron, self._clock.now()) if schedule.next_fire_at is not None else iter(())
        return Outlook(job, schedule, list(islice(coming, count)))


async def follow(tx: Transaction, old: Job | None, new: Job) -> None:
    """Let the schedule be what a job that was made or changed says.

    A cron expression that is new, changed or enabled again begins from now: no fire of before is made up for. A fire
    that another process is about to make is waited for, so each is made by the job as it is or as it was before.
    """
    was = None if old is None else old.definition.schedule
    cron = new.definition.schedule
    if cron is None:
        if was is not None:
            await tx.fetch(q.DELETE_SCHEDULE, job_id=new.job_id)
        return
    if old is None or was is None:
        made = Schedule(new.job_id, new.org_id, new.project_id, new.job_version_id, _begin(cron, new, tx.now))
        await tx.fetch(q.INSERT_SCHEDULE, **msgspec.structs.asdict(made))
    elif was != cron or old.definition.enabled != new.definition.enabled:
        next_at = _begin(cron, new, tx.now)
        await tx.fetch(q.SET_SCHEDULE, row=new.job_id, job_version_id=new.job_version_id, next_fire_at=next_at)
    else:
        await tx.fetch(q.SET_VERSION, row=new.job_id, job_version_id=new.job_version_id)


async def forget(tx: Transaction, job_id: str) -> None:
    """Remove the schedule of a job that is deleted, before anybody looks whether the job has live runs."""
    await tx.fetch(q.DELETE_SCHEDULE, job_id=job_id)


def _begin(cron: Cron, job: Job, now: int) -> int | None:
    return next_fire(cron, now) if job.definition.enabled else None
