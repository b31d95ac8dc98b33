"""The ceiling: the rows of whole lives of runs, written by the store's own statements and nothing else."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from msgspec.structs import replace

from runwright import ids
from runwright.clock import SystemClock
from runwright.domain.commands import Claim, Finish, Submit
from runwright.domain.outcome import Completed
from runwright.domain.redaction import Redactor, compose
from runwright.domain.run import Run, Spec, ValueRef
from runwright.domain.tenancy import Cause
from runwright.engine.batch import Batch, Terms
from runwright.store.base import ChangeSet
from runwright.store.sqlite import hot
from runwright.store.sqlite.store import SqliteStore

BATCH = 100
TERMS = Terms(30_000_000, 10_000_000)


def _lives(count: int, now: int) -> tuple[list[ChangeSet], list[ChangeSet]]:
    """Return the change sets that create and begin `count` runs, and those that end them."""
    begins: list[ChangeSet] = []
    ends: list[ChangeSet] = []
    text = Redactor().text
    for start in range(0, count, BATCH):
        batch = Batch(now, {}, TERMS)
        for number in range(start, start + BATCH):
            spec = _spec(ids.new_id("run", now + number), now)
            batch.decide(Submit(spec=spec, opening=compose(spec), payload=os.urandom(48), cause=Cause("user:bench")))
            batch.decide(Claim(spec.run_id, "local-bench"))
        begins.append(batch.seal())
        runs: dict[str, Run] = dict(batch.after)
        batch = Batch(now, runs, TERMS)
        for run_id in list(runs):
            outcome = Completed(ValueRef("0" * 64, 2, text("{}")), os.urandom(48))
            batch.decide(Finish(run_id, 1, outcome, 0.5))
        ends.append(batch.seal())
    return begins, ends


def _spec(run_id: str, now: int) -> Spec:
    preview = Redactor().text('{"n":1}')
    spec = Spec(
        run_id=run_id,
        org_id=ids.new_id("org", now),
        project_id=ids.new_id("proj", now),
        job_id=ids.new_id("job", now),
        job_version=1,
        job_version_id=ids.new_id("jobv", now),
        handler="noop",
        payload=ValueRef("0" * 64, 7, preview),
        max_attempts=3,
        timeout_s=300.0,
        trace_id="0" * 32,
        created_at=now,
        created_by="user:bench",
    )
    return replace(spec, created_by_user_id="user_bench")


async def lives_per_second(count: int) -> float:
    """Write whole lives (create and begin, end: two transactions a batch of 100) and return lives per second."""
    clock = SystemClock()
    begins, ends = _lives(count, clock.now())
    return await _rate(begins, ends, count)


async def events_per_second(count: int) -> float:
    """Write events alone, 100 in a transaction, and return events per second."""
    clock = SystemClock()
    begins, _ = _lives(count // 2, clock.now())
    return await _rate([ChangeSet(events=change.events) for change in begins], [], count)


async def _rate(first: list[ChangeSet], second: list[ChangeSet], count: int) -> float:
    directory = Path(tempfile.mkdtemp(prefix="runwright-ceiling-"))
    store = SqliteStore(directory, SystemClock())
    try:
        await store.open()
        writer = store.raw_writer()
        begun = time.perf_counter()
        for changes in (*first, *second):
            cursor = writer.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            hot.apply(cursor, changes, 0)
            cursor.execute("COMMIT")
        return count / (time.perf_counter() - begun)
    finally:
        await store.close()
        shutil.rmtree(directory, ignore_errors=True)
