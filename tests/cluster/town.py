"""Servers and workers as processes on one database, loaded by clients, killed and started again, and judged."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from runwright.domain.events import Event
from runwright.domain.run import Run
from tests.acceptance.ledger import Entry, audit, ledger
from tests.acceptance.live_server import LiveServer
from tests.acceptance.live_worker import LiveWorker
from tests.acceptance.speech import Speech, unique
from tests.cluster.clients import Clients
from tests.cluster.history import History
from tests.cluster.judge import judge
from tests.cluster.labourers import deeds
from tests.engine.databases import PostgresDatabase

SOAK = int(os.environ.get("RUNWRIGHT_TEST_SOAK", "0"))
"""How long the campaigns are, in eighths of a second; 0: short, always the same."""
SOAK_S = SOAK / 8

MASTER_KEY = "a-master-key-for-a-town-of-tests-0123456789"
LABOURERS = "tests.cluster.labourers:app"
LEASE_S = 2.0
PATIENCE_S = 90.0
OFTEN: dict[str, Any] = {"max_attempts": 100}
SETTINGS: dict[str, Any] = {
    "master_key": MASTER_KEY,
    "lease_s": LEASE_S,
    "heartbeat_s": LEASE_S / 4,
    "reaper_s": 0.25,
    "stream_keepalive_s": 0.5,
    "drain_s": 5,
}


class Town:
    """Servers by name, each with the URL of its way to the database, and workers elsewhere, spread over them."""

    def __init__(self, directory: Path, urls: dict[str, str], *, house: str | None = None, **settings: Any) -> None:
        self.directory = directory
        self.servers = {
            name: LiveServer(_made(directory / name), worker=house, **{**SETTINGS, "database_url": url, **settings})
            for name, url in urls.items()
        }
        self.workers: list[LiveWorker] = []
        self._store_url = next(iter(urls.values()))
        self._all_clients: list[Clients] = []
        self._deck: list[str] = []

    async def start(self, workers: int, **given: Any) -> Town:
        """Start the servers, and then so many workers."""
        await asyncio.gather(*(server.start() for server in self.servers.values()))
        await asyncio.gather(*(self.worker(**given) for _ in range(workers)))
        return self

    async def worker(self, url: str | None = None, *, queue: str = "default", **more: Any) -> LiveWorker:
        """Start one more worker, for a server in its turn or for this address."""
        urls = [server.url for server in self.servers.values()]
        number = len(self.workers)
        live = LiveWorker(
            url or urls[number % len(urls)],
            _made(self.directory / f"worker-{number}"),
            *("--no-register", "--slots", "10", "--queue", queue),
            **{"handlers": LABOURERS, **more},
        )
        self.workers.append(live)
        return await live.start()

    def speech(self, server: str) -> Speech:
        """Return the administrator's way to talk to a server."""
        return Speech(self.servers[server].client())

    async def clients(self, seed: int, *, queue: str = "default") -> Clients:
        """Return clients of all servers, with a history and jobs of their own: on the loop, in threads, and limited."""
        speech = self.speech(next(iter(self.servers)))
        books = self.directory / unique("books")
        urls = {name: server.url for name, server in self.servers.items()}
        made = Clients(History([*urls]), urls, seed, books)
        made.jobs = [
            (await speech.job("toil", queue=queue, **OFTEN), None),
            (await speech.job("labour", queue=queue, **OFTEN), None),
            (await speech.job("toil", queue=queue, max_concurrency=2, **OFTEN), (unique("two"), 2)),
        ]
        self._all_clients.append(made)
        return made

    async def kill(self, chance: random.Random) -> str:
        """Kill one of the processes as a power failure would, start it again, and return who it was.

        Which one is drawn, and none again before all others had their turn.
        """
        victims: dict[str, LiveServer | LiveWorker] = {**self.servers}
        victims |= {f"worker {number}": worker for number, worker in enumerate(self.workers)}
        self._deck = self._deck or chance.sample(sorted(victims), len(victims))
        name = self._deck.pop()
        victim = victims[name]
        await victim.kill()
        await victim.start()
        return name

    async def judged(self, clients: Clients) -> str:
        """Wait until all runs of these clients have ended, and tell what is wrong with what everybody saw."""
        async with asyncio.timeout(PATIENCE_S):
            await clients.settled()
        history = clients.history
        faults = await self._audited({job for job, _ in clients.jobs})
        told = await clients.accounts()
        history.accounts = [replace(each, broken=faults.get(each.run_id, "the store has no such run")) for each in told]
        history.deeds = deeds(clients.books)
        found = judge(history)
        if found:
            history.dump(self.directory / "history.json")
        return "\n".join(found[:20])

    async def _audited(self, jobs: set[str]) -> dict[str, str | None]:
        """Return the runs that the store itself has of these jobs, each with what an auditor finds wrong in its log."""
        entries = (await ledger(PostgresDatabase(self._store_url))).values()
        return {entry.run.run_id: _fault(*entry) for entry in entries if entry.run.spec.job_id in jobs}

    async def close(self) -> None:
        """Kill the workers, and stop the servers; look whether something broke in them."""
        for clients in self._all_clients:
            await clients.close()
        for worker in self.workers:
            await worker.kill()
        for server in self.servers.values():
            await server.close()


@asynccontextmanager
async def town(directory: Path, urls: dict[str, str], workers: int = 3, **given: Any) -> AsyncIterator[Town]:
    """Open a town, and close it."""
    made = Town(directory, urls, **given)
    try:
        yield await made.start(workers)
    except BaseException:
        for worker in made.workers:
            await worker.kill()
        for server in made.servers.values():
            with suppress(AssertionError):  # it does not run
                await server.kill()
        raise
    await made.close()


@asynccontextmanager
async def loaded(clients: Clients, count: int) -> AsyncIterator[None]:
    """Load the servers with so many clients meanwhile, and wait until what they began has ended."""
    load = asyncio.create_task(clients.run(count))
    try:
        yield
        clients.stop()
        async with asyncio.timeout(PATIENCE_S):
            await load
    finally:
        load.cancel()


def _fault(run: Run, events: list[Event]) -> str | None:
    """Return what is wrong with a run's chain, seqs or state, if anything is."""
    try:
        audit({run.run_id: Entry(run, events)})
    except AssertionError as fault:
        return str(fault)
    return None


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory
