"""Clients of the SDK that poll, stream and trigger over a SIGTERM and a SIGKILL: nothing lost, nothing twice."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from runwright.client.api import AsyncClient
from runwright.client.backoff import Backoff
from runwright.client.models import Event, Run
from tests.acceptance.gate import Gate
from tests.acceptance.live_server import API_KEY, MORTAL, LiveServer
from tests.client.both import Connect, blocking
from tests.engine.databases import Database

pytestmark = [pytest.mark.xdist_group("acceptance-clients"), pytest.mark.slow]

PATIENT = Backoff(attempts=400, initial_s=0.05, max_s=0.2)
RUNS = 5


async def streamed(client: AsyncClient, run_id: str, cuts: list[str]) -> list[Event]:
    """Follow a run to its end."""
    stream = client.runs.stream(run_id, backoff=PATIENT, on_cut=lambda why, delay_s: cuts.append(str(why)))
    return [event async for event in stream]


async def polled(client: AsyncClient, run_id: str) -> tuple[list[Event], Run]:
    """Ask again and again for what is new, until the run has ended."""
    seen: list[Event] = []
    while True:
        run = await client.runs.get(run_id)
        seen += await client.runs.events(run_id, after_seq=seen[-1].seq if seen else 0).all()
        if run.finished and seen[-1].terminal:
            return seen, run


class Storm:
    """Starts runs one after the other, whatever happens to the server meanwhile."""

    def __init__(self, client: AsyncClient) -> None:
        self.made: list[str] = []
        self._client = client
        self._stopped = False
        self._moved = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while not self._stopped:
            run = await self._client.jobs.trigger("echo", {"n": len(self.made)}, tags={"from": "storm"})
            self.made.append(run.id)
            self._moved.set()

    async def more(self, count: int) -> None:
        """Wait until so many more runs were started."""
        wanted = len(self.made) + count
        async with asyncio.timeout(60):
            while len(self.made) < wanted:
                self._moved.clear()
                await self._moved.wait()

    async def stop(self) -> None:
        """Start no more."""
        self._stopped = True
        await self._task


@pytest.mark.parametrize("connect", [AsyncClient, blocking], ids=["async", "sync"])
async def test_a_poller_a_streamer_and_a_trigger_live_through_two_restarts(
    connect: Connect, tmp_path: Path, database: Database, gate: Gate
):
    live = LiveServer(tmp_path, database, **MORTAL)
    await live.start()
    cuts: list[str] = []
    async with connect(live.url, API_KEY, backoff=PATIENT) as client:
        runs = [await client.jobs.trigger("stages", {"stages": 3, "gate": gate.port}) for _ in range(RUNS)]
        streaming = [asyncio.create_task(streamed(client, run.id, cuts)) for run in runs]
        polling = asyncio.create_task(polled(client, runs[0].id))
        storm = Storm(client)

        await gate.arrived(RUNS, "stage 0")
        await storm.more(20)
        await live.stop()
        await live.start()
        await gate.arrived(RUNS, "stage 0")
        gate.open("stage 0")
        await gate.arrived(RUNS, "stage 1")
        await storm.more(20)
        await live.kill()
        await live.start()
        await gate.arrived(RUNS, "stage 1")
        await storm.more(20)
        gate.open()

        async with asyncio.timeout(60):
            logs = await asyncio.gather(*streaming)
            seen, polled_run = await polling
            await storm.stop()
        assert cuts, "the streams were cut"

        for run, log in zip(runs, logs, strict=True):
            assert [event.seq for event in log] == list(range(1, len(log) + 1))
            assert log[-1].type == "run.completed"
            stored = await client.runs.events(run.id).all()
            assert [(event.seq, event.type, event.data) for event in log] == [
                (event.seq, event.type, event.data) for event in stored
            ]
            steps = Counter(
                event.data["name"] for event in log if event.type == "step.completed" and not event.data["reused"]
            )
            assert steps == {"stage 0": 1, "stage 1": 1, "stage 2": 1}, "each step was done once"
            ended = await client.runs.get(run.id)
            assert (ended.attempt, ended.lease_epoch) == (2, 3), "the drain cost nothing, the kill an attempt"
        assert [event.seq for event in seen] == [event.seq for event in logs[0]]
        assert polled_run.result == {"value": [0, 1, 2]}

        listed = [run async for run in client.runs.list(tags={"from": "storm"}, limit=500)]
        assert sorted(run.id for run in listed) == sorted(storm.made), "each trigger made one run, however often sent"
        assert sorted(run.payload["n"] for run in listed) == list(range(len(storm.made)))
        for run in listed[:1] + listed[-1:]:
            assert (await client.runs.wait(run.id, timeout_s=30)).state == "completed"
    await live.close()
