"""Erase the data of a run that has ended: values, texts and what users wrote go, the chain stays and still verifies."""

from __future__ import annotations

import msgspec

from runwright.domain.chain import genesis
from runwright.domain.erasure import ACTION, opening_without_data, receipt, without_data
from runwright.domain.events import Event
from runwright.domain.tenancy import Actor
from runwright.engine.artifacts import Artifacts
from runwright.engine.reader import Reader
from runwright.errors import Conflict
from runwright.store import audit
from runwright.store.base import Record, Store, Transaction
from runwright.store.queries import approvals, kpi
from runwright.store.queries import erasure as sql
from runwright.store.queries.memory import FORGET_RUN


class Eraser:
    """Erases run by run. Events go in batches, the rest and the audit entry in one last transaction.

    An ended run is changed by nobody else, so nothing is locked between the batches. An erasure that was cut off goes
    on when it is asked for again; until then the run is not marked.
    """

    def __init__(self, store: Store, artifacts: Artifacts, *, batch: int = 500) -> None:
        self._store = store
        self._artifacts = artifacts
        self._batch = batch

    async def erase(self, reader: Reader, actor: Actor, run_id: str) -> Record:
        """Erase the data of a run and return it; one that was erased before stays as it is.

        Raises `NotFound`, and `Conflict` for a run that has not ended.
        """
        actor.require("data:erase")
        record = await reader.run(run_id)
        if not record.run.terminal:
            raise Conflict(
                f"the run is {record.run.state}; cancel it, or erase it when it has ended", code="runs.not_ended"
            )
        if record.erased_at is not None:
            return record
        seq: int | None = 0
        while seq is not None:
            seq = await self._events(run_id, seq)
        gone = await self._rest(actor, record)
        await self._artifacts.forget(gone)
        return await reader.run(run_id)

    async def _events(self, run_id: str, after: int) -> int | None:
        """Erase a batch of events; return the last one's seq, None after the last batch."""

        async def work(tx: Transaction) -> list[Event]:
            events = [Event(*row) for row in await tx.fetch(sql.WITH_DATA, row=run_id, after=after, limit=self._batch)]
            for event in map(without_data, events):
                await tx.fetch(
                    sql.SET_EVENT,
                    row=run_id,
                    row_seq=event.seq,
                    level=event.level,
                    message=event.message,
                    data=event.data,
                    salt=event.salt,
                    lease_epoch=event.lease_epoch,
                )
            return events

        events = await self._store.write(work)
        return events[-1].seq if len(events) == self._batch else None

    async def _rest(self, actor: Actor, record: Record) -> list[str]:
        """Erase the row, values and attempts, and tell the audit log; return the artifacts that the values named."""
        spec = record.run.spec
        run_id = spec.run_id

        async def work(tx: Transaction) -> list[str]:
            await audit.lock(tx, spec.org_id)
            opening, seq, head, erased_at = (await tx.fetch(sql.OPENING, row=run_id))[0]
            if erased_at is not None:  # somebody else was faster
                return []
            root, left = genesis(opening), opening_without_data(opening)
            gone = [str(row[0]) for row in await tx.fetch(sql.ARTIFACTS_OF, row=run_id)]
            await tx.fetch(sql.ERASE_RUN, row=run_id, opening=left, genesis=root, erased_at=tx.now)
            await tx.fetch(sql.ERASE_ATTEMPTS, row=run_id)
            await tx.fetch(sql.ERASE_DELIVERIES, row=run_id)
            await tx.fetch(sql.DELETE_VALUES, row=run_id)
            await tx.fetch(approvals.ERASE, row=run_id)
            await tx.fetch(kpi.ERASE, row=run_id, row_org_id=spec.org_id, row_ended_at=record.run.finished_at)
            await tx.fetch(FORGET_RUN, row=run_id)
            entry = msgspec.structs.asdict(receipt(seq, head, root, left))
            await audit.append(tx, spec.org_id, actor.label, ACTION, run_id, entry)
            return gone

        return await self._store.write(work)
