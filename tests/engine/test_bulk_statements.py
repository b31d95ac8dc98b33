"""What a transaction on PostgreSQL costs in statements, whatever number of runs it makes."""

from pathlib import Path
from typing import Any

from runwright.clock import FrozenClock
from tests.engine.test_cron_servers import Shared
from tests.engine.world import World
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
