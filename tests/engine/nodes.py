"""Several server processes' engines over one PostgreSQL, each with everything of its own but the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from runwright import config
from runwright.auth.keyring import Keyring
from runwright.auth.tenants import Tenants
from runwright.client.handlers import Handler
from runwright.client.worker import Worker as Handlers
from runwright.clock import SystemClock
from runwright.domain.accounts import Project
from runwright.domain.job import Job
from runwright.domain.redaction import Redactor
from runwright.domain.run import Run
from runwright.domain.tenancy import Actor
from runwright.domain.workforce import Introduction
from runwright.engine.engine import Engine
from runwright.engine.orders import Order
from runwright.executors.python import PythonExecutor
from runwright.store.artifacts import FileArtifacts
from runwright.store.base import Record
from runwright.store.postgres.bus import PostgresBus
from runwright.store.postgres.store import PostgresStore
from tests.engine.world import ADMIN, MASTER_KEY, PATIENCE_S, PROJECT, lines
from tests.waiting import until

SELDOM = {"bus_poll_s": 60.0}
"""Settings under which nothing but a hint comes within the patience of a test."""
OFTEN = {"bus_poll_s": 0.05}
"""Settings under which hints are not needed."""


class Node:
    """One process of a cluster."""

    def __init__(
        self, url: str, directory: Path, handlers: Iterable[Handler[..., Any]] = (), *, listen: str, **settings: Any
    ) -> None:
        given = {"data_dir": directory, "database_url": url, "master_key": MASTER_KEY, **settings}
        self.settings = config.load({}, overrides=given)
        self.clock = SystemClock()
        self.listen = listen
        secured, migrate = self.settings.database_row_security, self.settings.migrate
        self.store = PostgresStore(url, self.clock, pool_max=4, row_security=secured, migrate=migrate)
        self.bus = PostgresBus(listen, self.clock, interval_s=self.settings.bus_interval_ms / 1000)
        self._handlers = tuple(handlers)
        self._executor: PythonExecutor | None = None
        self.engine: Engine

    async def open(self) -> Node:
        """Open the store, put the engine together, and start it."""
        await self.store.open()
        self.keyring = await Keyring.unlock(self.store, MASTER_KEY, None)
        await self.keyring.ensure(PROJECT.project_id)
        if self._handlers:
            self._executor = PythonExecutor([Handlers(self._handlers)], queues=(), threads=2)
        self.engine = Engine(
            self.store,
            self.clock,
            self.settings,
            sealer=self.keyring,
            artifacts=FileArtifacts(self.settings.data_dir / "artifacts", 1 << 20, self.clock),
            redactor=Redactor(["hunter2-the-secret"]),
            executors=[(self._executor, 4)] if self._executor is not None else (),
            bus=self.bus,
        )
        self.tenants = Tenants.of(self.store, self.keyring, self.clock, key_cache_s=300, tell=self.engine.changed)
        self.engine.caches["projects"] = self.tenants.projects.forget
        self.engine.caches["logins"] = self.tenants.authenticator.forget
        self.engine.start()
        await until(lambda: self.bus.connected)
        return self

    async def close(self) -> None:
        """End in order."""
        await self.engine.drain()
        await self.store.close()
        if self._executor is not None:
            self._executor.close()

    async def submit(self, job: Job, project: Project = PROJECT, **order: Any) -> str:
        """Make a run of a job and return its id."""
        made = Order(**order)
        command = self.engine.submitter.command(ADMIN, project, job, made, request_id="req_1", trace_id="t" * 32)
        run_id: str = (await self.engine.commit.apply(command)).run_id
        return run_id

    async def record(self, run_id: str) -> Record:
        """Return a run as it is stored."""
        found = await self.store.record(run_id)
        assert found is not None
        return found

    async def whole(self, run_id: str) -> bytes:
        """Return the whole log of a run, as a follower is given it."""
        return b"".join(map(lines, await self.store.events(run_id, 0, 100_000)))

    def follow(self, run_id: str, after_seq: int = 0) -> asyncio.Task[bytes]:
        """Begin to follow a run to its end."""

        async def read() -> bytes:
            return b"".join([frames async for frames in self.engine.hub.follow(run_id, after_seq, lines)])

        return asyncio.create_task(read())

    async def following(self, run_id: str) -> None:
        """Return when somebody who follows a run here waits for what is to come."""
        await until(lambda: run_id in self.engine.hub._channels and self.engine.hub._channels[run_id]._waiting)

    async def claim(self, worker_id: str = "wrk_1", wait_s: float = 0.0, count: int = 1, **said: Any) -> Any:
        """Claim for a worker elsewhere that asks this node."""
        worker = introduced(worker_id, **said)
        gone = asyncio.Event()
        return await self.engine.fleet.claim(worker, count, wait_s, stay=lambda: True, gone=gone)

    async def taken(self, worker_id: str = "wrk_1") -> Run:
        """Claim one run for a worker elsewhere, and return it."""
        claimed = await self.claim(worker_id)
        run: Run = claimed.attempts[0].run
        return run


def introduced(worker_id: str, **said: Any) -> Introduction:
    """Return how a worker introduces itself."""
    usual: dict[str, Any] = {
        "org_id": ADMIN.org_id,
        "project_id": None,
        "name": worker_id,
        "version": "",
        "sdk": "",
        "queues": (),
        "handlers": ("greet",),
        "slots": 1,
    }
    return Introduction(worker_id=worker_id, **{**usual, **said})


def admin_of(org_id: str) -> Actor:
    """Return an administrator of an organization."""
    return Actor(kind="user", id="user_1", org_id=org_id, scopes=frozenset({"admin"}))


@asynccontextmanager
async def opened(*nodes: Node) -> AsyncIterator[tuple[Node, ...]]:
    """Open nodes, let them hear of each other where they can, and close them."""
    ready: list[Node] = []
    try:
        for node in nodes:
            await node.open()
            ready.append(node)
        if len({node.listen for node in nodes}) == 1:
            await until(lambda: all(node.bus.peers == len(nodes) - 1 for node in nodes))
            await quiet(*nodes)
        yield tuple(ready)
    finally:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(node.close() for node in ready))


async def quiet(*nodes: Node) -> None:
    """Return when each node has looked for all that it missed before it met the others."""
    sent = {node.bus._node: node.bus._number for node in nodes}  # the next of each has all that it had to say by now

    def heard(node: Node) -> bool:
        peers = node.bus._peers
        return all(peers[other].number > number for other, number in sent.items() if other != node.bus._node)

    await until(lambda: all(map(heard, nodes)))
    await until(lambda: not any(n.engine.neighbours is not None and n.engine.neighbours._missed for n in nodes))
