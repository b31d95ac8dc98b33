"""Change what a run is about to do, and what is remembered of one that has ended, for a caller who may."""

from __future__ import annotations

from typing import Any

from runwright.domain.commands import Debug, Reschedule
from runwright.domain.run import AGENT
from runwright.domain.tenancy import Actor, Cause
from runwright.engine.commit import Commit
from runwright.engine.reader import Reader
from runwright.engine.schema import JobSchemas
from runwright.engine.submit import key_of
from runwright.engine.values import Values, encode
from runwright.errors import Conflict, InvalidRequest
from runwright.store import audit
from runwright.store.base import Record, Store, Transaction
from runwright.store.queries import dead_letters as sql


class Amend:
    """Reschedule, debug, discard, and give keys free. Each verb answers with the run as it then stands."""

    def __init__(self, store: Store, commit: Commit, values: Values, schemas: JobSchemas) -> None:
        self._store = store
        self._schemas = schemas
        self._commit = commit
        self._values = values

    async def reschedule(
        self,
        reader: Reader,
        actor: Actor,
        run_id: str,
        scheduled_at: int,
        payload: dict[str, Any] | None,
        *,
        request_id: str | None,
    ) -> Record:
        """Let a run that has not begun begin at another time (µs; a past one is now), perhaps with another payload.

        Raises `NotFound`, `InvalidTransition` for a run that has begun or ended, and `TooLarge`.
        """
        spec = (await reader.run(run_id)).run.spec
        if spec.kind == AGENT:
            raise Conflict("a run of an agent is not rescheduled; `:retry` its thread", code="runs.not_a_job")
        if spec.runtime is not None:
            raise Conflict("a runtime run is not rescheduled; make another", code="runs.not_a_job")
        sealed = described = None
        if payload is not None:
            if spec.gather is not None and spec.gather.kind == "batch":
                raise InvalidRequest.at("payload", "a batch keeps what its triggers brought; reschedule it without one")
            encoded = encode(payload)
            await self._schemas.require_new_payload(spec, payload, len(encoded))
            described = self._values.ref(spec.project_id, encoded)
            sealed = self._values.seal_payload(spec, encoded)
        cause = Cause(actor.label, None, request_id)
        await self._commit.apply(
            Reschedule(run_id=run_id, scheduled_at=scheduled_at, cause=cause, payload=sealed, described=described)
        )
        return await reader.run(run_id)

    async def debug(self, reader: Reader, actor: Actor, run_id: str, on: bool, *, request_id: str | None) -> Record:
        """Let the attempts that begin from now on be recorded, or not. Raises `InvalidTransition` for an ended run."""
        await reader.run(run_id)
        await self._commit.apply(Debug(run_id, on, Cause(actor.label, None, request_id)))
        return await reader.run(run_id)

    async def discard(self, reader: Reader, actor: Actor, run_id: str) -> Record:
        """Take a run off the dead letter queue for good; the audit log says who. Raises `Conflict` if it is not in."""
        spec = (await reader.run(run_id)).run.spec

        async def work(tx: Transaction) -> None:
            await audit.lock(tx, spec.org_id)
            if not await tx.fetch(sql.DISCARD, row=run_id, left_at=tx.now):
                raise Conflict("the run is not in the dead letter queue", code="runs.not_dead_lettered")
            await audit.append(tx, spec.org_id, actor.label, "run.discarded", run_id)

        await self._store.write(work)
        return await reader.run(run_id)

    async def free_key(self, reader: Reader, actor: Actor, run_id: str) -> bool:
        """Give the idempotency key of a run free, so that the next request with it makes a run of its own.

        Tells whether the run still held it; the audit log says who gave it free.
        """
        spec = (await reader.run(run_id)).run.spec
        key = key_of(spec)
        if key is None:
            return False
        scope, name = key

        async def work(tx: Transaction) -> bool:
            await audit.lock(tx, spec.org_id)
            if not await tx.fetch(sql.FREE_KEY, scope=scope, key=name, target=run_id):
                return False
            await audit.append(tx, spec.org_id, actor.label, "run.key_freed", run_id)
            return True

        return await self._store.write(work)
