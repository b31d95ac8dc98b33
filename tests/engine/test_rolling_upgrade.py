"""Code and schema one version apart: the old code works on, the new code migrates or says what it waits for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, select

from runwright import telemetry
from runwright.domain import outcome as o
from runwright.domain.chain import genesis, verify
from runwright.domain.run import Run
from runwright.errors import SchemaMismatch, StoreReadOnly
from runwright.store import migrations, tables
from runwright.store.base import Store
from runwright.store.migrations import Applied, Migration, Status
from runwright.store.query import Query
from tests.engine.world import ADMIN, PROJECT, World, failed
from tests.postgres import execute, rows
from tests.store.backends import BACKENDS, Backend, PostgresBackend
from tests.store.tomorrow import CONTRACT, EXPAND, of_tomorrow
from tests.waiting import until

OPENING = Query(select(tables.runs.c.opening).where(tables.runs.c.run_id == bindparam("run_id")))
Opener = Callable[..., Awaitable[Store]]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path):
    with BACKENDS[request.param](tmp_path) as made:
        yield made


@pytest.fixture
async def opened(backend: Backend) -> AsyncIterator[Opener]:
    """Return what opens a store of the backend; each is closed in the end."""
    async with AsyncExitStack() as stack:

        async def open_one(*texts: str, **options: Any) -> Store:
            store = backend.make(known=of_tomorrow(backend.dialect, *texts), **options)
            stack.push_async_callback(store.close)
            await store.open()
            return store

        yield open_one


async def upgraded(backend: Backend, *texts: str) -> None:
    """Let the code of tomorrow bring the database to its schema."""
    store = backend.make(known=of_tomorrow(backend.dialect, *texts))
    await store.open()
    await store.close()


async def world_over(backend: Backend, tmp_path: Path, **settings: Any) -> World:
    """Return the engine of today over a database of the backend."""
    world = World(tmp_path / "files", backend.clock, (), **settings)
    world.store = backend.make()
    return await world.open()


async def test_old_code_runs_a_whole_life_on_the_schema_of_tomorrow(backend, tmp_path):
    await (await world_over(backend, tmp_path)).close()
    await upgraded(backend, EXPAND)
    world = await world_over(backend, tmp_path, retention_days=1, value_inline_max_bytes=0)
    try:
        job = world.job(max_attempts=2, max_concurrency=1)
        first, second = await world.submit(job, payload={"n": 1}), await world.submit(job, payload={"n": 2})
        run = await taken(world)
        assert (run.run_id, (await world.run(second)).held_by) == (first, f"job:{job.job_id}")
        await world.finish(run, failed("E", "once"))
        assert (await world.run(first)).state == "scheduled"
        await world.finish(await taken(world), o.Completed())
        assert await world.engine.operations.artifacts.upload(ADMIN, PROJECT, parts(b"uploaded"))
        world.clock.advance(3600)
        await world.round_of(world.engine.scheduler.loop)
        await world.finish(await taken(world), o.Completed())
        for run_id in (first, second):
            assert (await world.run(run_id)).state == "completed"
            events = await world.events(run_id)
            opening = (await world.store.fetch(OPENING, run_id=run_id))[0][0]
            assert verify(genesis(opening), (event.link() for event in events), events[-1].hash) is None
        world.clock.advance(3 * 86_400)
        await world.round_of(world.engine.pruner.loop)
        assert (await world.record(first)).pruned_at is not None
        assert await world.events(first) == []
    finally:
        await world.close()


async def taken(world: World) -> Run:
    """Take a run, once one is there."""
    return (await until(world.take))[0]


async def parts(*data: bytes) -> AsyncIterator[bytes]:
    for each in data:
        yield each


async def test_old_code_refuses_a_schema_that_it_cannot_use_and_says_what_to_do(backend, opened):
    await upgraded(backend, EXPAND, CONTRACT)
    today = len(migrations.load(backend.dialect))
    with pytest.raises(SchemaMismatch) as caught:
        await opened()
    for word in (f"schema {today + 2}", f"{today + 2} or later", f"this one has {today}", "upgrade Runwright"):
        assert word in caught.value.detail
    await opened(EXPAND, CONTRACT)


async def test_old_code_does_not_take_the_least_schema_back(backend, opened):
    """Two expansions upon a contraction leave the contraction's word."""
    await upgraded(backend, CONTRACT, "-- works with: {before}\nCREATE TABLE moods (name TEXT)")
    with pytest.raises(SchemaMismatch):
        await opened()


async def test_new_code_migrates_a_database_that_there_is_and_reports_it(backend):
    await upgraded(backend)
    told: list[dict[str, Any]] = []
    stop = telemetry.attach(lambda _, fields: told.append(dict(fields)), "store.migrated")
    await upgraded(backend)
    assert told == []
    await upgraded(backend, EXPAND)
    stop()
    assert told == [{"number": len(migrations.load(backend.dialect)) + 1, "migration": "of_tomorrow"}]


async def test_new_code_that_must_not_migrate_says_what_it_needs(backend):
    await upgraded(backend)
    store = backend.make(known=of_tomorrow(backend.dialect, EXPAND), migrate=False, **WAIT[backend.dialect])
    with pytest.raises(SchemaMismatch) as caught:
        await store.open()
    today = len(migrations.load(backend.dialect))
    for word in (f"has schema {today}", f"needs {today + 1}", "runwright db upgrade", "RUNWRIGHT_MIGRATE"):
        assert word in caught.value.detail
    await store.close()
    await upgraded(backend)  # and nothing was changed


WAIT: dict[str, dict[str, Any]] = {"sqlite": {}, "postgresql": {"migrate_wait_s": 0}}


@pytest.fixture
def cluster(tmp_path: Path):
    with BACKENDS["postgresql"](tmp_path) as made:
        yield made


async def test_new_code_that_must_not_migrate_waits_for_who_may(cluster):
    waiting = asyncio.Event()
    stop = telemetry.attach(lambda *_: waiting.set(), "store.waiting_for_migration")
    store = cluster.make(known=of_tomorrow("postgresql", EXPAND), migrate=False)
    opening = asyncio.create_task(store.open())
    await waiting.wait()
    await upgraded(cluster, EXPAND)
    while not opening.done():
        cluster.clock.advance(1)
        await asyncio.wait([opening], timeout=0.01)
    await opening
    await store.close()
    stop()


async def test_many_servers_that_start_at_once_migrate_once(cluster):
    stores = [cluster.make(known=of_tomorrow("postgresql", EXPAND, CONTRACT)) for _ in range(5)]
    await asyncio.gather(*(store.open() for store in stores))
    await asyncio.gather(*(store.close() for store in stores))
    assert [row[0] for row in rows(cluster.url, "SELECT name FROM migrations ORDER BY number")][-2:] == [
        "of_tomorrow"
    ] * 2


async def test_a_migration_lets_others_pass_while_a_table_is_held(cluster, monkeypatch):
    monkeypatch.setattr("runwright.store.postgres.schema.LOCK_WAIT_S", 0.05)
    held, release, waited = asyncio.Event(), asyncio.Event(), asyncio.Event()
    stop = telemetry.attach(lambda *_: waited.set(), "store.migration_waits")
    store = cluster.make()
    await store.open()

    async def work(tx):
        await tx.runs([], {})
        await tx.specs(["run_1"])
        held.set()
        await release.wait()

    working = asyncio.create_task(store.write(work))
    await held.wait()
    migrating = asyncio.create_task(upgraded(cluster, EXPAND))
    await waited.wait()
    assert await store.record("run_1") is None, "readers are not kept waiting behind the migration"
    release.set()
    await asyncio.gather(working, migrating)
    await store.close()
    stop()


async def test_a_role_that_may_not_migrate_says_who_should(cluster: PostgresBackend):
    execute(cluster.url, "DROP OWNED BY only_reads" if role_exists(cluster.url) else "CREATE ROLE only_reads LOGIN")
    execute(cluster.url, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO only_reads")
    store = PostgresBackend(cluster.url.replace("postgres@", "only_reads@")).make(
        known=of_tomorrow("postgresql", EXPAND)
    )
    with pytest.raises(SchemaMismatch) as caught:
        await store.open()
    assert "runwright db upgrade" in caught.value.detail
    assert isinstance(caught.value.__cause__, StoreReadOnly)
    await store.close()
    execute(cluster.url, "DROP OWNED BY only_reads")


def role_exists(url: str) -> bool:
    return bool(rows(url, "SELECT 1 FROM pg_roles WHERE rolname = 'only_reads'"))


@pytest.mark.parametrize(("least", "usable"), [(9, True), (10, True), (11, False), (None, False)])
def test_the_least_schema_decides(least, usable):
    known = [Migration(number, "m", "", str(number), number) for number in range(1, 11)]
    applied = [Applied(number, str(number)) for number in range(1, 11)] + [Applied(11, "later", least)]
    if usable:
        assert migrations.pending(known, applied) == ()
        assert migrations.status(known, applied) == Status(schema=11, known=10, least=10, pending=[])
    else:
        with pytest.raises(SchemaMismatch):
            migrations.pending(known, applied)
