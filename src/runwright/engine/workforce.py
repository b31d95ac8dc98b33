"""The register of workers elsewhere: who is there, who was seen when, and who was asked to take no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from runwright.domain.tenancy import Actor
from runwright.domain.workforce import Introduction, RemoteWorker
from runwright.engine.process_plans import ProcessPlans
from runwright.errors import Conflict, NotFound
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.queries import workforce as q
from runwright.store.queries.shapes import Slice, read

_encode = msgspec.json.Encoder().encode


class Listed(NamedTuple):
    """A worker, and how many leases it holds."""

    worker: RemoteWorker
    busy: int


class Workforce:
    """Enrol, list and drain workers. A worker is enrolled by its first claim, and again when it says something new.

    `tell` is told whom this process asked to drain, for others to hear.
    """

    def __init__(self, store: Store, tell: Callable[[str], None]) -> None:
        self._store = store
        self.plans = ProcessPlans(store)
        self._tell = tell
        self._enrolled: dict[str, Introduction] = {}
        self._draining: set[str] = set()

    def draining(self, worker_id: str) -> bool:
        """Tell whether a worker was asked to take no more, as far as this process has heard."""
        return worker_id in self._draining

    def heard(self, worker_id: str) -> None:
        """Hear that a worker was asked to take no more, by way of another process."""
        self._draining.add(worker_id)

    async def refresh(self) -> set[str]:
        """Look who was asked to take no more; return those that this process had not heard of."""
        former = set(self._draining)
        draining = {worker_id for (worker_id,) in await self._store.fetch(q.DRAINING)}
        self._draining -= former - draining  # they are gone
        self._draining |= draining
        return draining - former

    async def enrol(self, said: Introduction) -> None:
        """Remember a worker. Raises `Conflict` for an id that is another organization's."""
        if self._enrolled.get(said.worker_id) == said:
            return
        fields = msgspec.structs.asdict(said)
        fields |= {"queues": _encode(said.queues), "handlers": _encode(said.handlers)}

        async def work(tx: Transaction) -> RemoteWorker | None:
            found = await tx.fetch(q.WORKER, worker_id=said.worker_id)
            times = {"seen_at": tx.now, "gone_at": None}
            if not found:
                await tx.fetch(q.INSERT_WORKER, **fields, **times, started_at=tx.now, drain_at=None)
                return None
            known = q.worker(found[0])
            if known.org_id != said.org_id:
                raise Conflict("this worker id is taken; make another", code="workers.id_taken")
            changed = {name: value for name, value in fields.items() if name not in ("worker_id", "org_id")}
            await tx.fetch(q.SET_WORKER, row=said.worker_id, **changed, **times)
            return known

        known = await self._store.write(work)
        self._enrolled[said.worker_id] = said
        if known is not None and known.drain_at is not None:
            self._draining.add(said.worker_id)

    async def seen(self, worker_id: str) -> None:
        """Note a sign of life, and hear whether another process asked the worker to drain."""

        async def work(tx: Transaction) -> bool:
            found = await tx.fetch(q.SEEN, worker_id=worker_id, seen_at=tx.now)
            return bool(found) and found[0][0] is not None

        if await self._store.write(work):
            self._draining.add(worker_id)

    async def leave(self, worker_id: str) -> None:
        """Note that a worker said good-bye."""

        async def work(tx: Transaction) -> None:
            await tx.fetch(q.GONE, row=worker_id, gone_at=tx.now)

        await self._store.write(work)
        self._enrolled.pop(worker_id, None)
        self._draining.discard(worker_id)

    async def drain(self, actor: Actor, worker_id: str) -> RemoteWorker:
        """Ask a worker to take no more and to end when its runs have. Raises `NotFound`."""
        actor.require("runs:write")

        async def work(tx: Transaction) -> RemoteWorker:
            await audit.lock(tx, actor.org_id)
            found = await tx.fetch(q.WORKER, worker_id=worker_id)
            known = self._visible(actor, found, worker_id)
            if known.drain_at is None:
                await tx.fetch(q.DRAIN, row=worker_id, drain_at=tx.now)
                await audit.append(tx, known.org_id, actor.label, "worker.drained", worker_id)
                known = msgspec.structs.replace(known, drain_at=tx.now)
            return known

        drained = await self._store.write(work)
        self._draining.add(worker_id)
        self._tell(worker_id)
        return drained

    async def page(self, actor: Actor, part: Slice) -> list[Listed]:
        """Return workers that the caller may see."""
        own = self._store.within(actor.org_id)
        if actor.project_id is not None:
            found = await read(own, q.WORKERS_OF_PROJECT, part, org_id=actor.org_id, project_id=actor.project_id)
        else:
            found = await read(own, q.WORKERS, part, org_id=actor.org_id)
        busy: dict[str, int] = dict(await self._store.fetch(q.BUSY))
        return [Listed(q.worker(row), busy.get(row[0], 0)) for row in found]

    async def require(self, actor: Actor, worker_id: str) -> None:
        """Raise `NotFound` unless the worker is enrolled, and the caller's."""
        known = self._enrolled.get(worker_id)
        if known is None or known.org_id != actor.org_id or actor.project_id not in (None, known.project_id):
            await self._shown(actor, worker_id)

    async def get(self, actor: Actor, worker_id: str) -> Listed:
        """Return one worker. Raises `NotFound`."""
        known = await self._shown(actor, worker_id)
        return Listed(known, len(await self._store.leases_of(worker_id)))

    async def _shown(self, actor: Actor, worker_id: str) -> RemoteWorker:
        found = await self._store.within(actor.org_id).fetch(q.WORKER, worker_id=worker_id)
        return self._visible(actor, found, worker_id)

    def _visible(self, actor: Actor, found: list[tuple[object, ...]], worker_id: str) -> RemoteWorker:
        known = q.worker(found[0]) if found else None
        if known is None or known.org_id != actor.org_id or actor.project_id not in (None, known.project_id):
            raise NotFound("worker", worker_id)
        return known
