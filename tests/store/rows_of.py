"""Change sets, made small: what a test wants written, and nothing else."""

from __future__ import annotations

from typing import Any

from msgspec.structs import asdict, replace

from runwright import ids
from runwright.domain import outcome as o
from runwright.domain.accounts import Project
from runwright.domain.lane import Lane, queue_key
from runwright.domain.run import Run
from runwright.store.base import Birth, ChangeSet, Lease, Record, Store, StoredValue, Timer, Transaction
from runwright.store.queries.auth import INSERT_PROJECT
from runwright.store.queries.auth import PROJECT as PROJECT_ROW
from runwright.store.queries.retention import TO_THIN
from runwright.store.query import Query
from tests.domain.specimens import T0, History

PROJECT = Project("proj_1", "org_1", "default", "Default", 1.0, None, 0)


def history(ended: bool = False, **given: Any) -> History:
    """Return a run that is queued, or that has completed."""
    made = History(**given)
    if ended:
        made.claim()
        made.finish(o.Completed())
    return made


async def records(store: Store, query: Query, **params: Any) -> list[Record]:
    """Return the runs that a query of `store.queries.runs` selects, in its order."""
    chosen = [row[0] for row in await store.fetch(query, **params)]
    found = {record.run.run_id: record for record in await store.records_of(chosen)}
    return [found[run_id] for run_id in chosen if run_id in found]


def born(*histories: History) -> ChangeSet:
    """Return what the births of these runs write: rows, heads of the living, events."""
    changes = ChangeSet()
    for each in histories:
        changes.births.append(Birth(each.standing, each.command.opening, each.command.payload))
        changes.events.extend(each.events)
        if not each.standing.terminal:
            changes.heads_new.append(each.standing)
    return changes


async def founded(store: Store) -> None:
    """Write the project of all these runs, unless it is there."""

    async def work(tx: Transaction) -> None:
        if not await tx.fetch(PROJECT_ROW, org_id=PROJECT.org_id, project_id=PROJECT.project_id):
            await tx.fetch(INSERT_PROJECT, **asdict(PROJECT))

    await store.write(work)


async def thinned(store: Store, before: int, limit: int) -> tuple[list[str], list[str]]:
    """Thin up to so many runs that ended before an instant; return them, and the artifacts that they named."""
    await founded(store)
    found = [row[0] for row in await store.fetch(TO_THIN, now=0, before=before, limit=limit)]
    return found, await within(store, "thin", dict.fromkeys(found, b"way"))


async def pruned(store: Store, before: int, limit: int) -> list[str]:
    """Thin up to so many runs that ended before an instant, and forget them at once."""
    found, _ = await thinned(store, before, limit)
    await within(store, "forget", found)
    return found


def queued(rank: float, queue: str = "default", **given: Any) -> Run:
    """Return a run that stands in a queue at a rank."""
    return replace(History(queue=queue, **given).standing, rank=rank)


def ready(*runs: Run) -> ChangeSet:
    """Return what puts runs into their queue, each with the head that stands for it there."""
    return ChangeSet(ready=list(runs), heads_new=list(runs))


def queue(name: str = "default") -> str:
    """Return the key of a queue of the specimens' organization."""
    return queue_key("org_1", name)


def lane(name: str = "default", project: str = "proj_1", handler: str = "greet") -> str:
    """Return the lane of the specimens in a queue."""
    return Lane("org_1", name, project, "worker", handler).key


def held(rank: float, key: str, **given: Any) -> Run:
    """Return a run that waits for a slot of a limit."""
    return replace(History(**given).standing, rank=rank, held_by=key)


def lease(run_id: str, epoch: int = 1, worker: str = "wrk-1", until: int = T0, fence_at: int | None = None) -> Lease:
    """Return a worker's hold on a run."""
    return Lease(run_id, epoch, worker, until, fence_at)


def timer(at: int, name: str = "due") -> Timer:
    """Return a timer of some run."""
    return Timer(ids.new_id("run", T0), name, at)


def value(
    run_id: str, kind: str, key: str, sealed: bytes | None = b"sealed", artifact: str | None = None
) -> StoredValue:
    """Return a working value of a run."""
    return StoredValue(run_id, kind, key, sealed, artifact, None, T0)


async def write(store: Store, changes: ChangeSet) -> None:
    """Write a change set in a transaction of its own."""

    async def work(tx: Transaction) -> None:
        await tx.apply(changes)

    await store.write(work)


async def within(store: Store, method: str, *arguments: Any) -> Any:
    """Call one method of a transaction of its own and return what it returned."""

    async def work(tx: Transaction) -> Any:
        return await getattr(tx, method)(*arguments)

    return await store.write(work)
