"""How many connections to PostgreSQL a server has in use, and who waits for one, as its metrics show it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import httpx2

from runwright.serving import running
from tests.engine.world import PATIENCE_S
from tests.observability.test_bus import asking, told
from tests.postgres import new_database
from tests.waiting import until


async def shown(client: httpx2.AsyncClient) -> dict[str, float]:
    """Return what a server shows of its connections."""
    lines = (await client.get("/metrics")).text.splitlines()
    pairs = (line.split() for line in lines if line.startswith("runwright_database_"))
    return {name.removeprefix("runwright_database_"): float(value) for name, value in pairs}


async def test_a_server_shows_its_connections_and_who_waits_for_one(tmp_path: Path):
    with new_database() as url:
        settings = told(tmp_path, url, database_pool_max=3)
        async with asyncio.timeout(PATIENCE_S), running(settings) as server, asking(server) as client:
            idle = await shown(client)
            assert (idle['limit_connections{pool="write"}'], idle['limit_connections{pool="read"}']) == (1, 2)
            holder = await asyncpg.connect(url)
            async with holder.transaction():
                await holder.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
                writes = [asyncio.create_task(client.post("/v1/jobs", json={"slug": f"x{n}"})) for n in range(2)]
                busy = await until(lambda: shown(client), lambda busy: busy['waiting_requests{pool="write"}'])
                assert busy['busy_connections{pool="write"}'] == 1
            await holder.close()
            assert {answer.status_code for answer in await asyncio.gather(*writes)} == {201}
            assert (await shown(client))['waiting_requests{pool="write"}'] == 0


async def test_a_server_is_not_ready_while_every_connection_of_one_kind_is_taken(tmp_path: Path):
    with new_database() as url:
        settings = told(tmp_path, url, database_pool_max=3, ready_timeout_s=0.2)
        async with asyncio.timeout(PATIENCE_S), running(settings) as server, asking(server) as client:
            for kind in ("write", "read"):
                pool: Any = server.house.services.engine.store.pools[kind]
                taken = [await pool.take() for _ in range(pool.size)]
                ready = await client.get("/readyz")
                assert (ready.status_code, ready.headers["retry-after"]) == (503, "1")
                assert ready.json()["checks"]["store"] == "no answer within 0.2 s"
                for each in taken:
                    pool.give_back(each)
                await until(lambda: client.get("/readyz"), lambda answer: answer.status_code == 200)
