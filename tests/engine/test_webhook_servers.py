"""Webhooks of servers that are killed, and of several servers: none is lost, and none is sent by two at once."""

import asyncio
import signal
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import pytest

from runwright.clock import FrozenClock
from runwright.domain import outcome as o
from tests.engine.databases import PostgresDatabase
from tests.engine.test_webhooks import PRIVATE, completed, deliveries, posted, subscribed
from tests.engine.world import World
from tests.executors.endpoint import Endpoint, Received, always, answer, serving
from tests.postgres import new_database
from tests.waiting import until

PATIENCE_S = 60.0
ENDED = "SELECT count(*) FROM runs WHERE finished_at IS NOT NULL"


async def process(mode: str, directory: Path, url: str) -> asyncio.subprocess.Process:
    command = ("-m", "tests.engine.posting_server", mode, str(directory), url)
    return await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)


def told(endpoint: Endpoint) -> Counter[str]:
    """Return how often each run was told of."""
    return Counter(msgspec.json.decode(received.body)["data"]["run_id"] for received in endpoint.received)


async def test_the_end_of_no_run_is_lost_when_the_server_is_killed_while_it_sends(tmp_path: Path):
    directory = tmp_path / "data"
    directory.mkdir()
    gone = asyncio.Event()

    async def respond(received: Received, writer: asyncio.StreamWriter) -> None:
        if len(endpoint.received) > 30:
            await gone.wait()  # the first server is killed while it waits for answers
        writer.write(answer(b""))

    async with serving(respond) as endpoint, asyncio.timeout(PATIENCE_S):
        killed = await process("start", directory, endpoint.url)
        await until(lambda: len(endpoint.received) >= 30)
        with closing(apsw.Connection(str(directory / "runwright.db"), flags=apsw.SQLITE_OPEN_READONLY)) as file:
            await until(lambda: next(file.execute(ENDED))[0] > 2 * len(endpoint.received))
        killed.send_signal(signal.SIGKILL)
        assert await killed.wait() == -signal.SIGKILL
        before = told(endpoint)
        gone.set()
        later = await process("finish", directory, endpoint.url)
        out, _ = await later.communicate()
        assert (out, later.returncode) == (b"all sent\n", 0)
        after = told(endpoint)
    world = World(directory, FrozenClock(), ())
    await world.store.open()
    ended = {run_id for (run_id,) in world.rows("SELECT run_id FROM runs WHERE finished_at IS NOT NULL")}
    outcomes = world.rows("SELECT DISTINCT outcome FROM webhook_deliveries")
    await world.store.close()
    assert set(after) == ended, "each run that ended was told of, and no other"
    assert ended - set(before), "some were told of by the second server"
    assert outcomes == [("delivered",)]
    assert max(after.values()) <= 2, "only what was being sent as the server was killed came again"


class Shared(PostgresDatabase):
    """A database that other servers go on using when one of them is gone."""

    async def crash(self) -> None:
        self._store._writers.closed = self._store._readers.closed = True
        for connection in self._made:
            connection.terminate()


@pytest.fixture
async def pair(tmp_path: Path):
    """Yield two servers on one PostgreSQL, under one clock."""
    with new_database() as url:
        clock = FrozenClock()
        worlds = [World(tmp_path / name, clock, (), Shared(url), **PRIVATE) for name in ("first", "second")]
        for world in worlds:
            await world.open()
        yield worlds
        for world in worlds:
            await world.crash()


async def test_two_servers_send_each_message_once(pair: list[World]):
    first, second = pair
    open_now: Counter[str] = Counter()

    async def respond(received: Received, writer: asyncio.StreamWriter) -> None:
        ident = received.headers["webhook-id"]
        open_now[ident] += 1
        assert open_now[ident] == 1, "two servers send it at once"
        for _ in range(20):
            await asyncio.sleep(0)
        open_now[ident] -= 1
        writer.write(answer(b""))

    async with serving(respond) as endpoint:
        await subscribed(first, endpoint.url)
        for _ in range(25):
            await completed(first)
        await asyncio.gather(*(world.round_of(world.engine.operations.outbox.loop) for world in pair))
        assert len(await deliveries(first)) == 25, "two servers make each delivery once"
        await asyncio.gather(posted(first), posted(second))
        await posted(second)
        assert len(endpoint.received) == len(told(endpoint)) == 25
        assert {each.outcome for each in await deliveries(second)} == {"delivered"}


async def test_a_subscription_made_at_one_server_hears_of_an_end_at_another_that_knows_nothing_of_it(pair: list[World]):
    first, second = pair
    async with serving(always(answer(b""))) as endpoint:
        await posted(second)
        assert second.engine.watched.known, "it believes that nobody subscribes"
        await second.submit(second.job())
        (run,) = await second.take()
        await subscribed(first, endpoint.url)
        await second.finish(run, o.Completed())
        await posted(second)
        assert told(endpoint) == {run.run_id: 1}
