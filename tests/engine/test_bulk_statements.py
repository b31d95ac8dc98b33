"""What is done for many runs at once on PostgreSQL costs few statements, whatever their number."""

import asyncio
from pathlib import Path
from typing import Any

from runwright.clock import FrozenClock
from tests.engine.test_cron_servers import Shared
from tests.engine.world import PROJECT, World
from tests.postgres import new_database


async def test_appendix_c_27_a_bulk_trigger_of_500_items_takes_fewer_than_ten_statements(tmp_path: Path):
    seen: list[str] = []

    def hear(record: Any) -> None:
        seen.append(record.query)

    with new_database() as url:
        database = Shared(url)
        world = await World(tmp_path, FrozenClock(), (), database).open()
        asked = world.job("many", max_concurrency=3)
        await world.submit(asked)
        orders = [world.order(asked, payload={"n": n}, idempotency_key=f"k{n}") for n in range(500)]
        for connection in database._made:
            connection.add_query_logger(hear)
        await world.engine.commit.apply_all(orders)
        for connection in database._made:
            connection.remove_query_logger(hear)
        assert 0 < len(seen) < 10, seen
        assert world.rows("SELECT count(*) FROM runs") == [(501,)]
        await world.crash()


async def test_many_who_want_the_secrets_of_a_project_at_once_wait_for_one_look(tmp_path: Path):
    seen: list[str] = []

    def hear(record: Any) -> None:
        seen.append(record.query)

    with new_database() as url:
        database = Shared(url)
        world = await World(tmp_path, FrozenClock(), (), database).open()
        await world.submit(world.job())
        provisions = world.engine.vault.provisions
        for connection in database._made:
            connection.add_query_logger(hear)
        provisions.forget(PROJECT.project_id)
        await asyncio.gather(*(provisions.ensure([PROJECT.project_id]) for _ in range(100)))
        for connection in database._made:
            connection.remove_query_logger(hear)
        assert len([query for query in seen if "secret_heads" in query]) == 1, seen
        await world.crash()
