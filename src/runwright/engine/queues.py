"""The queues of an organization: how much waits in them, who works on them, and whether they are paused."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from runwright.domain.lane import Lane, queue_key
from runwright.domain.tenancy import Actor
from runwright.errors import Denied
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.queries import workforce as q

LAST = "\U0010ffff"


class Queue(msgspec.Struct, frozen=True):
    """A queue as it stands. `ready` is counted up to 1 000 a lane; `capped` says that there are more."""

    name: str
    ready: int
    capped: bool
    paused_at: int | None
    paused_by: str | None


class Queues:
    """List, pause and resume. `wake` is told which lanes may be taken from again."""

    def __init__(self, store: Store, wake: Callable[[Iterable[str]], None]) -> None:
        self._store = store
        self._wake = wake

    async def all(self, actor: Actor) -> list[Queue]:
        """Return the queues of the caller's organization that hold ready runs or are paused, by name.

        A caller that is bound to a project sees what its project has in them.
        """
        prefix = f"{actor.org_id}/"
        ready: dict[str, int] = {}
        capped: set[str] = set()
        for key, count in (await self._store.depths(prefix)).items():
            lane = Lane.parse(key)
            if actor.sees(lane.org_id, lane.project_id):
                ready[lane.queue] = ready.get(lane.queue, 0) + count
                capped |= {lane.queue} if count >= 1000 else set()
        found = await self._store.fetch(q.PAUSED, first=prefix, last=prefix + LAST)
        paused = {each.queue.split("/")[1]: each for each in map(q.paused, found)}
        return [
            Queue(
                name,
                ready.get(name, 0),
                name in capped,
                paused[name].paused_at if name in paused else None,
                paused[name].paused_by if name in paused else None,
            )
            for name in sorted(ready.keys() | paused.keys())
        ]

    async def pause(self, actor: Actor, name: str) -> Queue:
        """Let nobody take from a queue any more; what executes goes on. A paused queue stays paused."""
        await self._set(actor, name, paused=True)
        return await self._get(actor, name)

    async def resume(self, actor: Actor, name: str) -> Queue:
        """Let workers take from a queue again; one that is not paused stays as it is."""
        await self._set(actor, name, paused=False)
        self._wake(await self._store.lanes(queue_key(actor.org_id, name)))
        return await self._get(actor, name)

    async def _set(self, actor: Actor, name: str, *, paused: bool) -> None:
        actor.require("runs:write")
        if actor.project_id is not None:
            raise Denied("This key is bound to one project; a queue is the organization's: it needs a key that is not.")
        key = queue_key(actor.org_id, name)

        async def work(tx: Transaction) -> None:
            await audit.lock(tx, actor.org_id)
            is_paused = bool(await tx.fetch(q.PAUSED_QUEUE, queue=key))
            if paused and not is_paused:
                await tx.fetch(q.PAUSE, queue=key, paused_at=tx.now, paused_by=actor.label)
                await audit.append(tx, actor.org_id, actor.label, "queue.paused", name)
            elif is_paused and not paused:
                await tx.fetch(q.RESUME, queue=key)
                await audit.append(tx, actor.org_id, actor.label, "queue.resumed", name)

        await self._store.write(work)

    async def _get(self, actor: Actor, name: str) -> Queue:
        found = [queue for queue in await self.all(actor) if queue.name == name]
        return found[0] if found else Queue(name, 0, False, None, None)
