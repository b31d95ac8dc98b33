"""The original's client loop: it only polls, pages of events and then the status, and misses nothing over restarts."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from runwright import ids
from tests.acceptance.contract import ContractClient
from tests.acceptance.live_server import API_KEY, LiveServer
from tests.acceptance.speech import Json, Speech, unique
from tests.engine.databases import Database
from tests.waiting import until

pytestmark = [pytest.mark.xdist_group("acceptance-crash"), pytest.mark.slow]

EVENTS = 10_000
TOGETHER = 500
PREFIXES = ("/api/v1/runs", "/api/v1/runtime/runs")
TERMINAL = {"completed", "failed", "cancelled"}
AWAY = (httpx2.TransportError,)
"""What a client sees of a server that is not there."""


@pytest.fixture
async def live(tmp_path: Path, database: Database) -> AsyncIterator[LiveServer]:
    server = LiveServer(tmp_path, database, lease_s=60, worker=None)
    await server.start()
    yield server
    await server.close()


async def asked(client: httpx2.AsyncClient, method: str, path: str, **options: object) -> Json:
    """Ask until the server is there and answers."""

    async def answer() -> httpx2.Response | None:
        try:
            response = await client.request(method, path, **options)  # type: ignore[arg-type]
        except AWAY:
            return None
        return None if response.status_code == 503 else response

    response = await until(answer)
    assert response is not None
    assert response.status_code < 300, response.text
    found: Json = response.json()
    return found


class Labourer:
    """A worker that speaks by hand: it writes events of a run, and says again what may not have arrived."""

    def __init__(self, client: httpx2.AsyncClient, lease: Json) -> None:
        self._client = client
        self._lease = lease
        self._number = 0

    async def write(self, count: int) -> None:
        self._number += 1
        lines = [{"type": "log", "message": f"part {self._number}, line {place}"} for place in range(count)]
        item = {**self._lease, "number": self._number, "savings": [{"events": lines}]}
        await self._say("append", item)

    async def end(self) -> None:
        await self._say("finish", {**self._lease, "outcome": {"status": "completed"}})

    async def _say(self, verb: str, item: Json) -> None:
        worker_id = item.pop("worker_id")
        body = {"worker_id": worker_id, "items": [item]}
        answer = await asked(self._client, "POST", f"/v1/worker/{verb}", json=body)
        assert answer["results"][0]["code"] in (None, "lease.stale"), answer
        item["worker_id"] = worker_id


async def drained(client: httpx2.AsyncClient, prefix: str, run_id: str, arrived: asyncio.Queue[int]) -> list[Json]:
    """Do what the original's client does: list, look at the status; end when an ended run has no more to list."""
    seen: list[Json] = []
    params: dict[str, str] = {}
    status = "unknown"
    while True:
        page = await asked(client, "GET", f"{prefix}/{run_id}/events/list", params=params)
        seen += page["events"]
        if page["events"]:
            params = {"after_event_id": page["events"][-1]["event_id"]}
            arrived.put_nowait(len(seen))
        elif status in TERMINAL:
            return seen
        status = (await asked(client, "GET", f"{prefix}/{run_id}/status"))["status"]


async def test_scenario_1_a_client_that_only_polls_drains_10_000_events_over_two_kills_of_the_server(live: LiveServer):
    api = Speech(live.client())
    queue = unique("hand")
    job = await api.job("by-hand", queue=queue)
    await api.trigger(job)
    worker_id = ids.new_id("wrk", 1)
    claim = {"worker_id": worker_id, "jobs": ["by-hand"], "queues": [queue], "slots": 1, "free": 1}
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with httpx2.AsyncClient(base_url=live.url, headers=headers, timeout=30) as client:
        (given,) = (await asked(client, "POST", "/v1/worker/claim", json=claim))["assignments"]
        run_id = given["run_id"]
        lease = {"worker_id": worker_id, "run_id": run_id, "lease_epoch": given["lease_epoch"]}
        labourer, arrived = Labourer(client, lease), asyncio.Queue[int]()
        pollers = [asyncio.create_task(drained(client, prefix, run_id, arrived)) for prefix in PREFIXES]
        for part in range(EVENTS // TOGETHER):
            writing = asyncio.create_task(labourer.write(TOGETHER))
            if part in (6, 13):  # in the middle of a write, while both read
                await arrived.get()
                await live.kill()
                await live.start()
            await writing
        await labourer.end()
        read = await asyncio.gather(*pollers)
    whole = await all_of(live.client(), run_id)
    written = [event["payload"]["summary"] for event in whole if event["type"] == "log"]
    assert written == [
        f"part {part + 1}, line {place}" for part in range(EVENTS // TOGETHER) for place in range(TOGETHER)
    ]
    assert [event["seq"] for event in whole] == list(range(1, len(whole) + 1))
    for seen in read:
        assert seen == whole, "nothing lost, nothing twice, and each event as it is read for ever"


async def all_of(client: ContractClient, run_id: str) -> list[Json]:
    """Return the log of an ended run, read again in larger pages."""
    found: list[Json] = []
    after = 0
    while True:
        params = {"after_seq": after, "limit": 5_000}
        page = (await client.get(f"{PREFIXES[0]}/{run_id}/events/list", params=params)).json()
        found += page["events"]
        if not page["has_more"]:
            return found
        after = found[-1]["seq"]
