"""Jobs with schedules over either database, and what became of their fires."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import bindparam, select

from runwright.clock import FrozenClock
from runwright.domain.job import Job, JobDefinition
from runwright.domain.run import Run
from runwright.domain.schedule import Schedule
from runwright.store.queries.schedules import SCHEDULE
from runwright.store.queries.schedules import schedule as schedule_from
from runwright.store.query import Query
from runwright.store.tables import runs
from tests.engine.world import ADMIN, World
from tests.engine.world import PROJECT as OURS
from tests.store.rows_of import records

RUNS_OF = Query(select(runs.c.run_id).where(runs.c.job_id == bindparam("job_id")).order_by(runs.c.run_id))
MINUTE, HOUR = 60, 3600


class Town(World):
    """A world whose jobs are stored."""

    async def create(self, slug: str = "nightly", **fields: Any) -> Job:
        """Make a job."""
        definition = msgspec.convert({"name": slug, "slug": slug, **fields}, JobDefinition)
        return (await self.engine.jobs.create(ADMIN, OURS, definition)).value.job

    async def change(self, job: Job, **fields: Any) -> Job:
        """Change a job."""
        return (await self.engine.jobs.update(ADMIN, job, fields)).job

    async def schedule(self, job: Job) -> Schedule | None:
        """Return the schedule of a job as it is stored."""
        found = await self.store.fetch(SCHEDULE, job_id=job.job_id)
        return schedule_from(found[0]) if found else None

    async def runs_of(self, job: Job) -> list[Run]:
        """Return the runs of a job, oldest first."""
        return [record.run for record in await records(self.store, RUNS_OF, job_id=job.job_id)]

    async def fires(self, job: Job) -> list[int]:
        """Return the instants that runs of a job were made for, in their order."""
        return sorted(run.spec.scheduled_at or 0 for run in await self.runs_of(job))

    async def payloads(self, job: Job) -> list[Any]:
        """Return the payloads of a job's runs."""
        return [self.reader().payload(record) for record in await records(self.store, RUNS_OF, job_id=job.job_id)]

    async def look(self, seconds: float = 0) -> None:
        """Let time pass, and let the loop look until it has nothing more to do."""
        self.clock.advance(seconds)
        loop = self.engine.cron.loop
        loop.next_s = 0.0
        while loop.next_s == 0.0:
            loop.next_s = None
            await self.round_of(loop)


def at(zone: str, *parts: int, fold: int = 0) -> int:
    """Return an instant (µs) by the clock on a wall."""
    return int(datetime(*parts, fold=fold, tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000  # type: ignore[arg-type, misc]


def turn_to(clock: FrozenClock, instant: int) -> None:
    """Let time pass until an instant."""
    clock.advance((instant - clock.now()) / 1e6)
