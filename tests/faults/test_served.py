"""A server whose disk fails under it: it says so to everybody, loses nothing, and goes on by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from runwright import serving
from runwright.config import load
from tests.acceptance.frames import events, seqs
from tests.acceptance.gate import Gate, opened_gate
from tests.acceptance.ledger import audit, ledger, leftovers
from tests.acceptance.live_server import API_KEY, HANDLERS
from tests.engine.databases import SqliteDatabase
from tests.faults.disk import Disk, Fault, drive
from tests.waiting import until

pytestmark = [
    pytest.mark.xdist_group("faults-served"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. None:pytest.PytestUnraisableExceptionWarning"),
]

FAULTS = [
    Fault("write", "full", 1, lasting=True),
    Fault("write", "error", 1, lasting=True),
    Fault("sync", "error", 1, lasting=True),
]


@pytest.fixture
def disk() -> Iterator[Disk]:
    with drive() as made:
        yield made


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with opened_gate() as made:
        yield made


@pytest.fixture
async def client(disk: Disk, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """Serve over the faulty disk, in this process, and call the server."""
    given: dict[str, Any] = {"data_dir": tmp_path / "data", "port": 0, "api_key": API_KEY, "worker": (HANDLERS,)}
    settings = load({}, None, {**given, "heartbeat_s": 0.5, "reaper_s": 0.2, "lease_s": 20})
    async with serving.running(settings) as running:
        headers = {"authorization": f"Bearer {API_KEY}"}
        async with httpx2.AsyncClient(base_url=running.url, headers=headers, timeout=30) as made:
            yield made
        disk.heal()


async def ready(client: httpx2.AsyncClient) -> tuple[int, str]:
    answer = await client.get("/readyz")
    return answer.status_code, answer.json()["checks"]["store"]


async def become_ready(client: httpx2.AsyncClient) -> None:
    await until(lambda: ready(client), lambda said: said == (200, "ok"))


async def made(client: httpx2.AsyncClient, job: str, **body: Any) -> httpx2.Response:
    return await client.post(f"/v1/jobs/{job}/trigger", json=body)


async def stream(client: httpx2.AsyncClient, run_id: str) -> bytes:
    answer = await client.get(f"/v1/runs/{run_id}/stream")
    return answer.content


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{fault.operation}-{fault.harm}" for fault in FAULTS])
async def test_a_server_says_that_its_disk_fails_and_goes_on_when_it_does_not(
    client: httpx2.AsyncClient, disk: Disk, gate: Gate, tmp_path: Path, fault: Fault
):
    talking = (await made(client, "talk", payload={"lines": 20, "gate": gate.port})).json()["id"]
    await gate.arrived()
    following = asyncio.create_task(stream(client, talking))
    assert await ready(client) == (200, "ok")

    disk.arm(fault)
    refused = await made(client, "echo", payload={}, idempotency_key="once")
    assert (refused.status_code, refused.json()["code"]) == (503, "store.unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert "disk" in refused.json()["message"]
    assert await ready(client) == (503, "store.unavailable")
    assert (await client.get("/healthz")).status_code == 200
    assert (await client.get(f"/v1/runs/{talking}")).json()["status"] == "executing", "what is there can be read"
    gate.open()  # the handler writes its last lines and ends while nothing can be stored
    await gate.left()
    assert (await made(client, "echo", payload={}, idempotency_key="once")).status_code == 503

    disk.heal()
    await become_ready(client)
    log = events(await following)
    assert seqs(log) == list(range(1, len(log) + 1))
    assert [event["data"]["place"] for event in log if event["type"] == "log"] == [*range(20), *range(20)]
    assert log[-1]["type"] == "run.completed"
    again = await made(client, "echo", payload={}, idempotency_key="once")
    assert again.json()["idempotency_hit"] is False, "what was refused was not kept"
    await stream(client, again.json()["id"])
    stored = (await client.get("/v1/runs", params={"kind": "all"})).json()
    assert {run["id"]: run["status"] for run in stored} == {talking: "completed", again.json()["id"]: "completed"}
    assert {run["attempt"] for run in stored} == {1}


async def test_what_a_server_acknowledged_survives_a_power_failure_in_the_middle_of_a_storm(disk: Disk, tmp_path: Path):
    given: dict[str, Any] = {"data_dir": tmp_path / "data", "port": 0, "api_key": API_KEY, "worker": (HANDLERS,)}
    acknowledged: list[str] = []

    async def storm(client: httpx2.AsyncClient) -> None:
        while (answer := await made(client, "echo", payload={"text": "x" * 500})).status_code == 201:
            acknowledged.append(answer.json()["id"])

    async with serving.running(load({}, None, {**given, "lease_s": 0.1, "heartbeat_s": 0.02})) as running:
        headers = {"authorization": f"Bearer {API_KEY}"}
        async with httpx2.AsyncClient(base_url=running.url, headers=headers, timeout=30) as client:
            disk.arm(Fault("write", "crash", 500))
            await asyncio.gather(*(storm(client) for _ in range(8)))
    disk.restart(power_lost=True)
    assert acknowledged
    async with (
        serving.running(load({}, None, given)) as running,
        httpx2.AsyncClient(base_url=running.url, headers=headers, timeout=30) as client,
    ):
        for run_id in acknowledged:
            assert (await client.get(f"/v1/runs/{run_id}")).status_code == 200
            await stream(client, run_id)
    entries = await ledger(SqliteDatabase(tmp_path / "data"))
    audit(entries)
    assert set(acknowledged) <= set(entries)
    assert {entry.run.state for entry in entries.values()} == {"completed"}
    assert await leftovers(SqliteDatabase(tmp_path / "data")) == []
