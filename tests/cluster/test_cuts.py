"""Workers cut off from their server, and a server cut off from PostgreSQL, by a proxy: runs go elsewhere, late is late.

The proxy does to connections what networks do, without leave to make network namespaces: half-open, black hole, slow.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest

from tests.acceptance.gate import Gate, opened_gate
from tests.acceptance.live_server import API_KEY
from tests.acceptance.speech import unique
from tests.cluster.clients import Clients
from tests.cluster.database import Primary
from tests.cluster.town import LEASE_S, PATIENCE_S, Town, town
from tests.faults.proxy import Proxy
from tests.waiting import until

pytestmark = [pytest.mark.xdist_group("cluster-cuts"), pytest.mark.slow, pytest.mark.timeout(600)]

Cut = Callable[[Proxy], None]
RUNS = 3


def blackhole(proxy: Proxy) -> None:
    proxy.accepting = "silent"
    proxy.freeze()


def half_open(proxy: Proxy) -> None:
    proxy.down.silent = True


def slow(proxy: Proxy) -> None:
    proxy.up.latency_s = 3 * LEASE_S


@pytest.fixture(scope="module")
async def wire(database: Primary) -> AsyncIterator[Proxy]:
    """Return the way of server B to the database."""
    async with Proxy.to(database.port) as made:
        yield made


@pytest.fixture(scope="module")
async def cut_town(database: Primary, wire: Proxy, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """Serve on A, which reaches the database, and on B, which does so through the proxy; nobody executes yet."""
    urls = {"A": database.url, "B": database.url.replace(str(database.port), str(wire.port))}
    async with town(tmp_path_factory.mktemp("cut"), urls, 0) as made:
        yield made


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with opened_gate() as made:
        yield made


async def held(clients: Clients, gate: Gate) -> list[str]:
    """Start runs, and return when all are executed by a worker, and wait at the gate before their last output."""
    job = clients.jobs[0][0]
    run_ids = [await clients.start(job, "A", gate=gate.port) for _ in range(RUNS)]
    await gate.arrived(RUNS, "1")
    return run_ids


async def elsewhere(gate: Gate) -> None:
    """Wait until all runs are executed again, under whichever lease: one that is given into a void is lost again."""
    await until(lambda: sum(word != "1" for word in gate.waiting) >= RUNS, patience_s=PATIENCE_S)


async def overtaken(cut_town: Town, clients: Clients, gate: Gate, run_ids: list[str]) -> None:
    """Let the first executions of these runs go on, and after them the second ones; see that only these have effect."""
    gate.open("1")
    gate.open()
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(clients.follow(run_id) for run_id in run_ids))
    assert await cut_town.judged(clients) == ""
    assert all((account.result_epoch or 0) > 1 for account in clients.history.accounts)
    assert {deed.run_id for deed in clients.history.deeds if deed.lease_epoch == 1} == set(run_ids)


@pytest.mark.parametrize("cut", [blackhole, half_open, slow])
async def test_a_worker_that_is_cut_off_loses_its_lease_and_what_it_does_late_is_refused(
    cut_town: Town, gate: Gate, cut: Cut
):
    queue = unique("cut")
    clients = await cut_town.clients(1, queue=queue)
    async with Proxy.to(cut_town.servers["A"].port) as proxy:
        await cut_town.worker(proxy.url, queue=queue)
        run_ids = await held(clients, gate)
        await cut_town.worker(cut_town.servers["B"].url, queue=queue)
        cut(proxy)
        await elsewhere(gate)
        proxy.heal()
        await overtaken(cut_town, clients, gate, run_ids)


@pytest.mark.parametrize("cut", [blackhole, half_open])
async def test_a_server_that_is_cut_off_from_postgresql_says_so_and_its_runs_go_elsewhere(
    cut_town: Town, wire: Proxy, gate: Gate, cut: Cut
):
    queue = unique("cut")
    clients = await cut_town.clients(2, queue=queue)
    await cut_town.worker(cut_town.servers["B"].url, queue=queue)
    run_ids = await held(clients, gate)
    await cut_town.worker(cut_town.servers["A"].url, queue=queue)
    cut(wire)
    asked = asyncio.create_task(answers_503(cut_town.servers["B"].url))
    await elsewhere(gate)
    await asked
    wire.heal()
    wire.reset()
    await overtaken(cut_town, clients, gate, run_ids)
    async with asyncio.timeout(PATIENCE_S):
        await clients.once("B")


async def answers_503(url: str) -> None:
    """Wait until a server answers that its store is away, and when to come back; it must not hang for ever."""
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
        answer = await until(lambda: client.get("/v1/runs"), lambda answer: answer.status_code == 503, PATIENCE_S)
        assert answer.json()["code"] == "store.unavailable"
        assert int(answer.headers["retry-after"]) > 0
        assert (await client.get("/readyz")).status_code == 503
