"""Behind a pooler of transactions: nothing but LISTEN relies on a session that lasts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from runwright.client.handlers import job
from runwright.clock import SystemClock
from runwright.errors import StoreError
from runwright.store.base import Transaction
from runwright.store.postgres.connection import SETTINGS, connect
from runwright.store.postgres.store import PostgresStore
from tests.docs.pages import blocks
from tests.engine import pooler
from tests.engine.nodes import SELDOM, Node, opened
from tests.engine.test_neighbours import a_job
from tests.engine.world import ADMIN, PATIENCE_S
from tests.postgres import execute, new_database, secured_database

PAGE = "docs/how-to/run-on-postgresql.md"


@pytest.fixture(params=["", "with row-level security"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the URL of an empty database; who is cancelled while asyncpg asks for TLS leaves an error behind."""
    if not request.param:
        with new_database() as url:
            yield f"{url}?sslmode=disable"
        return
    with secured_database() as (_, url):
        yield f"{url}?sslmode=disable"


@job(slug="greet", max_attempts=3, retry_initial_delay_secs=1)
async def greet(ctx: Any, payload: Any) -> dict[str, Any]:
    """Say something, fail once, sleep, and end."""
    kept = await ctx.step("once", lambda: {"number": 7})
    ctx.log(f"attempt {ctx.attempt}")
    await ctx.sleep(0.05)
    return {"kept": kept, "name": payload["name"]}


async def test_servers_run_whole_lives_with_another_session_for_each_transaction(
    url: str, tmp_path: Path, monkeypatch: Any
):
    pooler.between(monkeypatch)
    secured = "plain" in url
    pair = [
        Node(url, tmp_path / name, handlers, listen=url, database_row_security=secured, migrate=False, **SELDOM)
        for name, handlers in (("a", ()), ("b", (greet,)))
    ]
    async with asyncio.timeout(2 * PATIENCE_S), opened(*pair) as (a, b):
        limited = a_job(max_concurrency=1)
        run_ids = [await a.submit(limited, payload={"name": f"run {number}"}) for number in range(4)]
        followers = [a.follow(run_id) for run_id in run_ids]
        again = [await node.submit(limited, payload={}, idempotency_key="k") for node in (a, b)]
        assert again[0] == again[1]
        for run_id, follower in zip(run_ids, followers, strict=True):
            told = await follower
            assert told == await b.whole(run_id)
            record = await a.record(run_id)
            assert (record.run.state, record.run.attempt) == ("completed", 1)
        reader = a.engine.reader(ADMIN)
        assert [reader.result(await reader.run(run_id)) for run_id in run_ids] == [
            {"kept": {"number": 7}, "name": f"run {number}"} for number in range(4)
        ]
        artifacts = a.store.artifacts(1 << 22)
        digest = await artifacts.put(b"x" * 3_000_000)
        assert await b.store.artifacts(1 << 22).get(digest) == b"x" * 3_000_000
    assert len(pooler.SESSIONS) > 50
    assert len({id(session) for session in pooler.SESSIONS}) == len(pooler.SESSIONS)


async def test_what_is_set_and_locked_in_a_transaction_ends_with_it(url: str, monkeypatch: Any):
    pooled = PostgresStore(url, SystemClock(), migrate=False, row_security="plain" in url)
    await pooled.open()
    direct = await connect(url)
    try:

        async def work(tx: Transaction) -> bool:
            await tx.limits(["job:a"])
            return await tx.alone("prune")

        assert await pooled.write(work)
        with pytest.raises(StoreError):
            await pooled.write(_failing)
        await pooled.within("org_1").record("run_1")
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database"
        assert await direct.fetchval(f"{held} WHERE datname = current_database())") == 0
        for pool in (pooled._writers, pooled._readers):
            async with pool.connection() as session:
                changed = "SELECT name FROM pg_settings WHERE source = 'session' AND name !~ '^(jit|runwright.*)$'"
                assert await session.fetch(changed) == [], "asyncpg sets jit while it asks for a type, and puts it back"
                said = await session.fetchval("SELECT current_setting('runwright.organization', true)")
                assert said in (None, "")
                assert await session.fetch("SELECT * FROM pg_listening_channels()") == []
                temporary = "SELECT relname FROM pg_class WHERE relpersistence = 't'"
                assert await session.fetch(temporary) == []
    finally:
        await direct.close()
        await pooled.close()


async def _failing(tx: Transaction) -> None:
    await tx.limits(["job:b"])
    raise StoreError("on purpose")


async def test_a_role_can_have_the_settings_that_a_pooler_swallows():
    (block,) = [each for each in blocks(PAGE) if each.language == "sql" and "plan_cache_mode" in each.text]
    (ini,) = [each for each in blocks(PAGE) if "pool_mode = transaction" in each.text]
    assert SETTINGS.keys() - {"application_name", "TimeZone"} <= set(re.findall(r"\w+", ini.text))
    with secured_database() as (superuser, url):
        role = url.split("://")[1].split(":")[0]
        execute(superuser, block.text.replace("rw_server", role))
        plain = await asyncpg.connect(url)
        try:
            for name, value in SETTINGS.items():
                if name != "application_name" and not name.startswith("tcp_"):
                    assert (await plain.fetchval(f"SHOW {name}")) == value, name
            assert await plain.fetchval("SHOW statement_timeout") == "10s"
            assert await plain.fetchval("SHOW lock_timeout") == "5s"
        finally:
            await plain.close()
