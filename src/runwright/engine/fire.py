"""Answer a fire within the transaction of the commit: the loop that proposes fires is `engine.cron`."""

from __future__ import annotations

from msgspec.structs import replace

from runwright.domain import commands as c
from runwright.domain.schedule import Schedule
from runwright.domain.tenancy import SCHEDULE, Cause
from runwright.engine.batch import Batch
from runwright.engine.requests import Fire, Fired


def fire(batch: Batch, schedules: dict[str, Schedule], request: Fire) -> Fired | None:
    """Make the runs of a fire and move its schedule on; None where that is no more as it was seen, or is held."""
    schedule = schedules.get(request.seen.job_id)
    if schedule is None or schedule != request.seen:
        return None
    wanted, cancelled = list(zip(request.submits, request.fired_at, strict=True)), None
    last = batch.after.get(schedule.last_run_id or "")
    unfinished = last is not None and not last.terminal
    if request.overlap == "skip":
        # Each fire meets the run of the one before it: of several that are due together the first alone can start.
        wanted = [] if unfinished else wanted[:1]
    elif request.overlap == "cancel":
        wanted = wanted[-1:]
        if wanted and last is not None and unfinished:
            batch.decide(c.Stop(last.run_id, "cancel", Cause(SCHEDULE, "overlap")))
            cancelled = last.run_id
    runs = tuple(batch.decide(submit) for submit, _ in wanted)
    if runs:
        schedule = replace(schedule, last_fired_at=wanted[-1][1], last_run_id=runs[-1].run_id)
    schedules[schedule.job_id] = schedule = replace(schedule, next_fire_at=request.next_fire_at)
    batch.changes.schedules.append(schedule)
    return Fired(runs, len(request.submits) - len(runs), cancelled)
