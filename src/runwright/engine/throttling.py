"""Put off the runs whose job has let in enough of them: `rate_limit`, exact over all servers.

The row of a job is locked last of all that a transaction locks before places in queues, in the order of the jobs.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from runwright.domain.commands import Throttle
from runwright.domain.job import Job
from runwright.domain.rates import turn
from runwright.domain.run import Run
from runwright.engine.batch import Batch
from runwright.engine.requests import Submitted
from runwright.store.base import Transaction
from runwright.store.queries import rates as q


async def admissible(tx: Transaction, batch: Batch, entering: list[Run], answers: list[list[Any]]) -> list[Run]:
    """Return those who may enter their queue now; the others are given their turn, and their callers are told so.

    A run asks once, when it enters for the first time: what was put off comes back when it is its turn.
    """
    asking = [run for run in entering if run.spec.rate is not None and _asks(batch, run)]
    if not asking:
        return entering
    late: set[str] = set()
    for job_id in sorted({run.spec.job_id or "" for run in asking}):
        rows = await tx.fetch(q.KEPT, row=job_id)
        if not rows:
            continue  # the job is gone: so is its rate
        kept = bytes(rows[0][0])
        for run in [run for run in asking if run.spec.job_id == job_id]:  # in the order in which they came
            assert run.spec.rate is not None
            at, kept = turn(kept, run.spec.rate, batch.now)
            if at > batch.now:
                batch.decide(Throttle(run.run_id, at))
                late.add(run.run_id)
        await tx.fetch(q.KEEP, row=job_id, instants=kept)
    for answered in answers:
        for place, answer in enumerate(answered):
            if isinstance(answer, Submitted) and answer.run_id in late:
                answered[place] = replace(answer, run=batch.after[answer.run_id])
    return [run for run in entering if run.run_id not in late]


async def follow(tx: Transaction, job: Job) -> None:
    """Have a place where the turns of a job are kept, if it has a rate."""
    if job.definition.rate_limit is not None and not await tx.fetch(q.KEPT, row=job.job_id):
        await tx.fetch(q.INSERT, job_id=job.job_id, instants=b"")


async def forget(tx: Transaction, job_id: str) -> None:
    """Forget the turns of a job that is deleted."""
    await tx.fetch(q.FORGET, row=job_id)


def _asks(batch: Batch, run: Run) -> bool:
    if run.rank is not None or run.started_at is not None:
        return False
    old = batch.before.get(run.run_id)
    had = old is not None and old.state == "scheduled" and old.reason == "rate_limit"
    return not (had and old is not None and old.due_at is not None and old.due_at <= batch.now)
