"""The judge over a cluster that is broken on purpose: without fences, without durability, with streams that repeat."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.acceptance.gate import opened_gate
from tests.acceptance.handlers import lines
from tests.cluster.database import primary
from tests.cluster.town import PATIENCE_S, town
from tests.waiting import until

pytestmark = [pytest.mark.xdist_group("cluster-broken"), pytest.mark.slow, pytest.mark.timeout(600)]

BROKEN = "tests.cluster.broken:app"


async def test_the_judge_sees_a_cluster_that_is_broken_on_purpose(tmp_path: Path):
    # Only what is told to be durable is written within the time of this test.
    async with (
        primary("wal_writer_delay=10s") as database,
        opened_gate() as gate,
        town(tmp_path, {"A": database.url}, 0, house="tests.cluster.broken:idle") as broken,
    ):
        clients = await broken.clients(3)
        free, threads = clients.jobs[0][0], clients.jobs[1][0]

        first = await broken.worker(handlers=BROKEN)
        overtaken = await clients.start(threads, "A", gate=gate.port)
        await gate.arrived(1, "1")
        await broken.worker(handlers=BROKEN)
        first.send(signal.SIGSTOP)
        await gate.arrived(1, "2")
        gate.open("1")
        first.send(signal.SIGCONT)
        await until(
            lambda: lines(clients.books),
            lambda told: any(words[0] in ("kept", "unheard") and words[-1] == "1-1" for words in told),
            PATIENCE_S,
        )
        async with asyncio.timeout(PATIENCE_S):
            gate.open()
            await clients.follow(overtaken)

            gate.close()
            streamed = await clients.start(free, "A", gate=gate.port)
            await gate.arrived()
            shown = clients.shown
            following = asyncio.create_task(clients.follow(streamed))
            await until(lambda: clients.shown != shown)
            gate.open()
            await following

        await database.execute("CHECKPOINT")
        lost = await clients.start(free, "A", outputs=2)
        await database.stop()
        await database.start()
        told = await broken.judged(clients)
        await broken.servers["A"].kill()
        await broken.servers["A"].start()
    assert "1-1, late, under lease 2" in told
    assert "A repeats or reorders: event" in told
    assert f"run {lost} was acknowledged and is lost" in told
