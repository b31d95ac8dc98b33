"""`/readyz` says 503 for each thing that can be wrong, and names it; `/healthz` goes on answering."""

import asyncio
from pathlib import Path

from runwright.observability.health import Health
from runwright.store.base import Transaction
from tests.api.served import Served, ok, serving
from tests.engine.world import World
from tests.waiting import until


async def looked(served: Served) -> dict[str, str]:
    """Return the checks that are not ok, of a server that is not ready."""
    response = await served.client(None).get("/readyz")
    assert (response.status_code, response.json()["status"]) == (503, "not ready")
    alive = await ok(served.client(None).get("/healthz"))
    assert alive["status"] == "ok"
    return {name: found for name, found in response.json()["checks"].items() if found != "ok"}


def of(world: World) -> Health:
    """Return the health of a world whose server does not drain."""
    return Health(world.engine, world.clock, lambda: False)


async def wrong(health: Health) -> dict[str, str]:
    """Return the checks that are not ok."""
    return {name: found for name, found in (await health.checks()).items() if found != "ok"}


async def test_a_server_in_order_is_ready_and_names_every_check(tmp_path: Path):
    async with serving(tmp_path, worker=("tests.acceptance.handlers:app",)) as served:
        answer = await ok(served.client(None).get("/readyz"))
    loops = (
        "reaper",
        "scheduler",
        "inbox",
        "cron",
        "dependencies",
        "workflows",
        "webhooks",
        "outbox",
        "pruner",
        "http.claimer",
        "http.heartbeat",
        "worker.claimer",
        "worker.heartbeat",
        "agent.claimer",
        "agent.heartbeat",
        "orchestrated.claimer",
        "orchestrated.heartbeat",
        "omar.claimer",
        "omar.heartbeat",
        "delivery.claimer",
        "delivery.heartbeat",
    )
    assert answer == {
        "status": "ready",
        "checks": dict.fromkeys(("store", "backlog", "drain", *(f"loop.{name}" for name in loops)), "ok"),
    }


async def test_a_store_that_is_gone_is_named(tmp_path: Path):
    async with serving(tmp_path) as served:
        await served.house.services.engine.store.close()
        assert await looked(served) == {"store": "store.unavailable"}


async def test_a_draining_server_is_not_ready(tmp_path: Path):
    async with serving(tmp_path) as served:
        served.house.services.streams.drain()
        assert await looked(served) == {"drain": "draining"}


async def test_a_backlog_at_its_limit_is_named(tmp_path: Path):
    async with serving(tmp_path, commit_backlog_max=3) as served:
        commit = served.house.services.engine.commit
        commit._backlog += 3
        assert await looked(served) == {"backlog": "full"}
        commit._backlog -= 1
        await ok(served.client(None).get("/readyz"))
        commit._backlog -= 2


async def test_a_loop_that_ended_is_named(tmp_path: Path):
    async with serving(tmp_path) as served:
        await served.house.services.engine.inbox.loop.stop()
        assert await looked(served) == {"loop.inbox": "stopped"}


async def test_a_store_that_hangs_is_named_in_time_and_looked_at_once(world: World):
    world.engine.start()
    stuck = asyncio.Event()

    async def hang(tx: Transaction) -> None:
        await stuck.wait()

    asleep = len(world.engine.loops)
    await until(lambda: world.clock.sleepers == asleep)
    hanging = asyncio.create_task(world.store.write(hang))
    health = of(world)
    looks = [asyncio.create_task(wrong(health)) for _ in range(3)]
    await asyncio.sleep(0)
    writers = [task for task in asyncio.all_tasks() if task.get_name() == "health"]
    assert len(writers) == 1, "looks at a store that hangs never pile up"
    await until(lambda: world.clock.sleepers == asleep + len(looks))
    world.clock.advance(world.settings.ready_timeout_s)
    assert [await look for look in looks] == [{"store": "no answer within 2 s"}] * 3
    stuck.set()
    await hanging
    assert await wrong(health) == {}


async def test_a_loop_without_a_good_round_for_too_many_intervals_is_named_until_one_comes(world: World):
    loop = world.engine.inbox.loop
    health = of(world)
    once, broken = loop._once, True

    async def breaks() -> None:
        if broken:
            raise KeyError("a bug")
        await once()

    loop._once = breaks
    world.engine.start()
    intervals = world.settings.ready_loop_intervals
    for _ in range(int(loop.every_s * intervals) + 1):
        assert await wrong(health) == {}
        await _second(world)
    assert await wrong(health) == {"loop.inbox": "no good round for 26 s"}
    broken = False
    loop.wake()
    await until(lambda: loop.rounds == 1)
    assert await wrong(health) == {}


async def _second(world: World) -> None:
    """Let a second pass, and every loop have its round."""
    loops = [loop for loop in world.engine.loops if loop is not world.engine.inbox.loop]
    before = [loop.rounds for loop in loops]
    for loop in world.engine.loops:
        loop.wake()
    world.clock.advance(1)
    await until(lambda: all(loop.rounds > rounds for loop, rounds in zip(loops, before, strict=True)))


async def test_the_setting_says_after_how_many_intervals_a_loop_is_stuck(open_world):
    world = await open_world(ready_loop_intervals=1)
    world.engine.start()
    loop = world.engine.inbox.loop
    await until(lambda: loop.rounds == 1)
    loop._good_at -= loop.every_s + 1
    assert await wrong(of(world)) == {"loop.inbox": "no good round for 6 s"}
