"""The ceiling: the rows of whole lives of runs, written by the store's own statements and nothing else."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

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


class Owner(NamedTuple):
    """Whose runs are written."""

    org_id: str
    project_id: str
    job_id: str
    job_version_id: str

    @classmethod
    def nobody(cls, now: int) -> Owner:
        """Return an owner that nothing else knows."""
        return cls(ids.new_id("org", now), ids.new_id("proj", now), ids.new_id("job", now), ids.new_id("jobv", now))


Seal = Callable[[str, str, bytes], bytes]


def _noise(run_id: str, name: str, value: bytes) -> bytes:
    """Return as many bytes as a sealed value of that size has."""
    return os.urandom(len(value) + 28 + 13)


def lives(
    count: int, now: int, owner: Owner | None = None, seal: Seal = _noise
) -> tuple[list[ChangeSet], list[ChangeSet]]:
    """Return the change sets that create and begin `count` runs, and those that end them."""
    owner = owner or Owner.nobody(now)
    begins: list[ChangeSet] = []
    ends: list[ChangeSet] = []
    text = Redactor().text
    for start in range(0, count, BATCH):
        batch = Batch(now, {}, TERMS)
        for number in range(start, start + BATCH):
            spec = _spec(ids.new_id("run", now + number), now, owner)
            batch.decide(
                Submit(
                    spec=spec,
                    opening=compose(spec),
                    payload=seal(spec.run_id, "payload", b'{"n":1}'),
                    cause=Cause("user:bench"),
                )
            )
            batch.decide(Claim(spec.run_id, "local-bench"))
        begins.append(batch.seal())
        runs: dict[str, Run] = dict(batch.after)
        batch = Batch(now, runs, TERMS)
        for run_id in list(runs):
            outcome = Completed(ValueRef("0" * 64, 2, text("{}")), seal(run_id, "result", b"{}"))
            batch.decide(Finish(run_id, 1, outcome, 0.5))
        ends.append(batch.seal())
    return begins, ends


def _spec(run_id: str, now: int, owner: Owner) -> Spec:
    preview = Redactor().text('{"n":1}')
    spec = Spec(
        run_id=run_id,
        org_id=owner.org_id,
        project_id=owner.project_id,
        job_id=owner.job_id,
        job_version=1,
        job_version_id=owner.job_version_id,
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
    begins, ends = lives(count, clock.now())
    return await _rate(begins, ends, count)


async def events_per_second(count: int) -> float:
    """Write events alone, 100 in a transaction, and return events per second."""
    clock = SystemClock()
    begins, _ = lives(count // 2, clock.now())
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
