"""The verbs of threads and their messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from runwright import ids
from runwright.agents.owned import required
from runwright.domain.accounts import Project
from runwright.domain.outcome import Said
from runwright.domain.ports import ProjectSealer
from runwright.domain.run import Run
from runwright.domain.shared_budget import key_of
from runwright.domain.tenancy import Actor
from runwright.domain.thread import FilePart, ImagePart, Message, Part, Thread, context
from runwright.engine.artifacts import Artifacts
from runwright.engine.floor import name_of
from runwright.engine.values import encode
from runwright.errors import Conflict, InvalidRequest
from runwright.store import audit
from runwright.store.base import Readings, Store, Transaction
from runwright.store.idempotent import Made, key_for, once
from runwright.store.queries import threads as q
from runwright.store.queries.budgets import DELETE_BUDGET
from runwright.store.queries.shapes import Slice, read

_parts = msgspec.json.Decoder(list[Part]).decode
LAST = 2**31 - 1
PAGE = 500


class Threads:
    """Make, change, delete and find threads; add and read messages."""

    def __init__(self, store: Store, sealer: ProjectSealer, artifacts: Artifacts, idempotency_ttl_us: int) -> None:
        self._store = store
        self._sealer = sealer
        self._artifacts = artifacts
        self._ttl_us = idempotency_ttl_us

    async def create(
        self, actor: Actor, project: Project, fields: Mapping[str, Any], idempotency_key: str | None = None
    ) -> Made[Thread]:
        """Make a thread; whether its persona and its route are there is for the caller to see before."""
        key = key_for(project.project_id, "threads.create", idempotency_key, dict(fields))

        async def find(tx: Transaction, thread_id: str) -> Thread | None:
            rows = await tx.fetch(q.THREAD, thread_id=thread_id)
            return q.thread(rows[0]) if rows else None

        async def make(tx: Transaction) -> tuple[str, Thread]:
            made = Thread(
                thread_id=ids.new_id("thr", tx.now),
                org_id=project.org_id,
                project_id=project.project_id,
                title=fields.get("title", ""),
                persona_id=fields.get("persona_id"),
                route_id=fields.get("route_id"),
                metadata=fields.get("metadata", {}),
                next_message_seq=1,
                created_at=tx.now,
                created_by=actor.label,
                updated_at=tx.now,
            )
            await tx.fetch(q.INSERT_THREAD, **q.row(made))
            return made.thread_id, made

        return await self._store.write(
            lambda tx: once(tx, key, self._ttl_us, lambda target: find(tx, target), lambda: make(tx))
        )

    async def find(self, actor: Actor, thread_id: str) -> Thread:
        """Return a thread. Raises `NotFound`."""
        rows = await self._store.within(actor.org_id).fetch(q.THREAD, thread_id=thread_id)
        return required(actor, q.thread(rows[0]) if rows else None, "thread", thread_id)

    async def page(self, actor: Actor, project: Project | None, part: Slice) -> list[Thread]:
        """Return the threads of a project, or all that the caller may see."""
        project_id = project.project_id if project is not None else actor.project_id
        own = self._store.within(actor.org_id)
        if project_id is not None:
            rows = await read(own, q.THREADS_OF_PROJECT, part, project_id=project_id)
        else:
            rows = await read(own, q.THREADS, part, org_id=actor.org_id)
        return [q.thread(row) for row in rows]

    async def update(self, actor: Actor, thread_id: str, changes: Mapping[str, Any]) -> Thread:
        """Change fields of a thread, each replaced whole; runs that are there keep what they were made with."""

        async def work(tx: Transaction) -> Thread:
            old = await _locked(tx, actor, thread_id)
            new = msgspec.structs.replace(old, **changes)
            if new == old:
                return old
            new = msgspec.structs.replace(new, updated_at=tx.now)
            row = {name: getattr(new, name) for name in ("title", "persona_id", "route_id", "updated_at")}
            await tx.fetch(q.SET_THREAD, row=thread_id, **row, metadata=q.encoded(new.metadata))
            return new

        return await self._store.write(work)

    async def delete(self, actor: Actor, thread_id: str) -> None:
        """Delete a thread with its messages; its runs stay. Raises `Conflict` while one of them has not ended."""

        async def work(tx: Transaction) -> None:
            old = await _locked(tx, actor, thread_id)
            await _require_idle(tx, thread_id)
            await tx.fetch(q.DELETE_MESSAGES, thread_id=thread_id)
            await _end(tx, old, None)

        await self._store.write(work)

    async def erase(self, actor: Actor, thread_id: str) -> list[str]:
        """Erase the messages, title and metadata of a thread for good, and return its runs.

        A thread that was deleted, or erased before, can be erased again. Raises `Conflict` while a run has not ended.
        """
        actor.require("data:erase")

        async def work(tx: Transaction) -> None:
            await audit.lock(tx, actor.org_id)
            old = await _locked(tx, actor, thread_id, deleted=True)
            await _require_idle(tx, thread_id)
            await tx.fetch(q.DELETE_MESSAGES, thread_id=thread_id)
            await _end(tx, old, tx.now)
            await audit.append(tx, old.org_id, actor.label, "thread.erased", thread_id, {})

        await self._store.write(work)
        return await self._all_runs(thread_id)

    async def _all_runs(self, thread_id: str) -> list[str]:
        found: list[str] = []
        while True:
            part = Slice(PAGE, found[-1] if found else None, newest_first=False)
            rows = [row[0] for row in await read(self._store, q.RUNS, part, thread_id=thread_id)]
            found += rows
            if len(rows) < PAGE:
                return found

    async def runs(self, actor: Actor, thread_id: str, part: Slice) -> list[str]:
        """Return ids of the runs of a thread that the caller was shown."""
        rows = await read(self._store.within(actor.org_id), q.RUNS, part, thread_id=thread_id)
        return [row[0] for row in rows]

    # --- messages -----------------------------------------------------------------------------------------------------

    async def say(
        self, actor: Actor, thread: Thread, role: str, parts: Sequence[Part], idempotency_key: str | None = None
    ) -> Made[Message]:
        """Add a message, under the next number. Raises `InvalidRequest` for artifacts that nobody uploaded."""
        await self.check(actor, thread, parts)
        await self._sealer.ensure(thread.project_id)
        key = key_for(thread.project_id, f"threads.say/{thread.thread_id}", idempotency_key, [role, list(parts)])

        async def find(tx: Transaction, message_id: str) -> Message | None:
            rows = await tx.fetch(q.MESSAGE, message_id=message_id)
            return q.message(rows[0]) if rows else None

        async def make(tx: Transaction) -> tuple[str, Message]:
            standing = await _locked(tx, actor, thread.thread_id)
            said = self.sealed(standing.project_id, role, parts, tx.now)
            made = Message(
                thread_id=standing.thread_id,
                seq=standing.next_message_seq,
                message_id=said.message_id,
                role=role,
                sealed=said.sealed,
                hidden=False,
                run_id=None,
                created_at=tx.now,
                created_by=actor.label,
                deleted_at=None,
            )
            row = msgspec.structs.asdict(made) | {"hidden": 0}
            await tx.fetch(q.INSERT_MESSAGE, **row, org_id=standing.org_id, project_id=standing.project_id)
            moved = {"next_message_seq": made.seq + 1, "updated_at": tx.now}
            await tx.fetch(q.MOVE_SEQ, row=standing.thread_id, **moved)
            return made.message_id, made

        return await self._store.write(
            lambda tx: once(tx, key, self._ttl_us, lambda target: find(tx, target), lambda: make(tx))
        )

    async def messages(
        self, actor: Actor, thread: Thread, bound: str | None, limit: int, *, newest_first: bool
    ) -> list[Message]:
        """Return messages beyond the id of one, itself excluded; those that are hidden or deleted are left out."""
        await self._sealer.ensure(thread.project_id)
        own = self._store.within(actor.org_id)
        beyond = LAST if newest_first else 0
        if bound is not None:
            beyond = await self._place(own, thread.thread_id, bound, beyond, newest_first=newest_first)
        asked = {"thread_id": thread.thread_id, "bound": beyond, "limit": limit}
        return [q.message(row) for row in await own.fetch(q.MESSAGES[1 if newest_first else 0], **asked)]

    async def _place(self, own: Readings, thread_id: str, bound: str, end: int, *, newest_first: bool) -> int:
        """Return the number that an id stands for: its message's, or where its instant lies; `end` beyond them all."""
        rows = await own.fetch(q.PLACE, thread_id=thread_id, message_id=bound)
        if not rows:
            query = q.PLACE_AT[1 if newest_first else 0]
            rows = await own.fetch(query, thread_id=thread_id, at=ids.time_of(bound))
        return end if rows[0][0] is None else int(rows[0][0])

    async def transcript(self, run: Run) -> list[tuple[Message, list[Part]]]:
        """Return the messages that a run answers, in order, the hidden ones too: all that was said when its turn came.

        For the executing side; a message that was deleted since is left out.
        """
        terms, spec = run.spec.agent, run.spec
        assert terms is not None
        await self._sealer.ensure(spec.project_id)
        named = {"thread_id": terms.thread_id}
        rows = await self._store.fetch(q.THROUGH, **named, run_id=spec.run_id)
        through = rows[0][0] if rows and rows[0][0] is not None else 0
        found: list[tuple[Message, list[Part]]] = []
        after = 0
        while True:
            page = await self._store.fetch(q.TRANSCRIPT, **named, after=after, through=through, limit=PAGE)
            found += [(each, self.parts(spec.project_id, each)) for each in map(q.message, page)]
            if len(page) < PAGE:
                return found
            after = found[-1][0].seq

    def sealed(self, project_id: str, role: str, parts: Sequence[Part], at: int, *, hidden: bool = False) -> Said:
        """Return a message as it is stored, with an id of its own; the project's key must be at hand."""
        message_id = ids.new_id("msg", at)
        return Said(message_id, role, self._sealer.seal(project_id, encode(list(parts)), context(message_id)), hidden)

    def parts(self, project_id: str, message: Message) -> list[Part]:
        """Return what a message consists of."""
        if not message.sealed:
            return []
        return _parts(self._sealer.open(project_id, message.sealed, context(message.message_id)))

    async def check(self, actor: Actor, thread: Thread, parts: Sequence[Part]) -> None:
        """Raise `InvalidRequest` for a part that names an artifact which the project does not have."""
        for place, part in enumerate(parts):
            if isinstance(part, ImagePart | FilePart) and not await self._artifacts.known(
                thread.org_id, thread.project_id, part.artifact
            ):
                raise InvalidRequest.at(f"parts[{place}].artifact", "names no artifact of the project; upload it first")


async def _locked(tx: Transaction, actor: Actor, thread_id: str, *, deleted: bool = False) -> Thread:
    await tx.meet([name_of(thread_id)])
    rows = await tx.fetch(q.ANY_THREAD if deleted else q.THREAD, thread_id=thread_id)
    return required(actor, q.thread(rows[0]) if rows else None, "thread", thread_id)


async def _require_idle(tx: Transaction, thread_id: str) -> None:
    busy = await tx.fetch(q.BUSY, thread_id=thread_id)
    if busy:
        raise Conflict(
            "a run of the thread has not ended; cancel it first", code="runs.thread_busy", data={"run_id": busy[0][0]}
        )


async def _end(tx: Transaction, thread: Thread, erased_at: int | None) -> None:
    await tx.fetch(DELETE_BUDGET, budget_key=key_of("thread", thread.project_id, thread.thread_id))
    row = {"title": "", "metadata": q.encoded({}), "deleted_at": thread.deleted_at or tx.now, "updated_at": tx.now}
    await tx.fetch(q.END_THREAD, row=thread.thread_id, **row, erased_at=erased_at)
