"""What a caller may see: every read of runs goes through a `Reader`, bound to the caller once per request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from runwright.domain.chain import genesis
from runwright.domain.events import Event
from runwright.domain.job import JobVersion
from runwright.domain.run import Run
from runwright.domain.tenancy import Actor
from runwright.domain.webhooks import Delivery
from runwright.domain.words import Shows
from runwright.engine.kept_values import PROMPTS, KeptValues
from runwright.engine.values import Values
from runwright.errors import Gone, NotFound
from runwright.store.base import Attempt, Record, Store, StoredValue
from runwright.store.queries import jobs as job_sql
from runwright.store.queries import values as value_sql
from runwright.store.queries import webhooks as webhook_sql
from runwright.store.queries.events import LINK, OF_TERMINAL, OF_TYPE, event_of
from runwright.store.queries.evidence import BEGINNING
from runwright.store.queries.runs import listing
from runwright.store.queries.shapes import Slice, read

SCAN_PAGE = 500
LAST = 2**63 - 1
PRUNED = "retention has removed the log and the values of this run; its summary stays"
EXCHANGES = ("debug.request", "debug.response")


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs a list holds. `where` and `shown`: what `store.queries.runs` can find; `keep` looks at each run.

    Where it keeps them `mostly`, a page is looked for among few at first.
    """

    where: dict[str, Any] = {}
    shown: frozenset[Shows] | None = None
    keep: Callable[[Record], bool] | None = None
    mostly: bool = False


class Listed(msgspec.Struct, frozen=True):
    """A page of runs. `next_cursor`: where to go on, None at the end; `partial`: the scan budget ended it."""

    records: list[Record]
    next_cursor: str | None
    partial: bool = False


class Seen(msgspec.Struct, frozen=True):
    """A working value as readers see it: opened and redacted."""

    key: str
    value: Any
    note: Any
    created_at: int


class Beyond(NamedTuple):
    """Between which seqs and instants (µs) events are looked for; all exclusive."""

    after_seq: int = 0
    before_seq: int = LAST
    after: int = -LAST
    before: int = LAST


class Reader:
    """Reads what belongs to the caller's organization and projects; everything else does not exist for it."""

    def __init__(self, store: Store, values: Values, actor: Actor, *, scan_budget: int = 20_000) -> None:
        self._runs = store
        self._store = store.within(actor.org_id)
        self._values = values
        self._actor = actor
        self._scan_budget = scan_budget

    async def run(self, run_id: str) -> Record:
        """Return a run. Raises `NotFound`, also for another's."""
        record = await self._store.record(run_id)
        if record is None or not self._actor.sees(record.run.spec.org_id, record.run.spec.project_id):
            raise NotFound("run", run_id)
        await self._values.ensure([record.run.spec.project_id])
        return record

    async def records(self, run_ids: Sequence[str]) -> list[Record]:
        """Return those of the runs that there are and that the caller may see, in any order."""
        found = [
            r
            for r in await self._store.records_of(run_ids)
            if self._actor.sees(r.run.spec.org_id, r.run.spec.project_id)
        ]
        await self._values.ensure(record.run.spec.project_id for record in found)
        return found

    async def checkpoint(self, record: Record, sequence: int) -> Any:
        """Return a state that a run has saved, exact: for the engine's own use in a replay, never for an answer.

        Raises `NotFound`, and `Gone` for a run whose data were erased.
        """
        require_data(record)
        spec = record.run.spec
        for value in await self._store.values(spec.run_id, "checkpoint"):
            if value.key == str(sequence):
                return await self._values.unpack(spec.project_id, value)
        raise NotFound("checkpoint", str(sequence))

    async def runs(self, wanted: Filter, *, bound: str | None, limit: int, newest_first: bool = True) -> Listed:
        """Return a page of runs beyond `bound`. A filter that SQL cannot test costs at most the scan budget in rows.

        Ids are looked for among everybody's, so that a statement ends after so many; runs are read as one's own.
        """
        where = dict(wanted.where)
        if self._actor.project_id is not None:
            if where.get("project_id", self._actor.project_id) != self._actor.project_id:
                return Listed([], None)
            where["project_id"] = self._actor.project_id
        beyond = "below" if newest_first else "above"
        found: list[Record] = []
        budget = self._scan_budget
        while True:
            params = where if bound is None else {**where, beyond: bound}
            query = listing(frozenset(params), wanted.shown, newest_first=newest_first)
            few = wanted.keep is None or (wanted.mostly and budget == self._scan_budget)
            page = min(limit + 1 if few else max(limit + 1, SCAN_PAGE), budget)
            chosen = [row[0] for row in await self._runs.fetch(query, **params, limit=page)]
            read = {record.run.run_id: record for record in await self._store.records_of(chosen)}
            records = [read[run_id] for run_id in chosen if run_id in read]
            await self._values.ensure(record.run.spec.project_id for record in records)
            for record in records:
                if not self._keeps(record, wanted.keep):
                    continue
                if len(found) == limit:
                    return Listed(found, found[-1].run.run_id)
                found.append(record)
            if len(chosen) < page:
                return Listed(found, None)
            bound = chosen[-1]
            budget -= len(chosen)
            if budget <= 0:
                return Listed(found, bound, partial=True)
            await asyncio.sleep(0)  # a long scan lets others have their turn

    def _keeps(self, record: Record, keep: Callable[[Record], bool] | None) -> bool:
        spec = record.run.spec
        return self._actor.sees(spec.org_id, spec.project_id) and (keep is None or keep(record))

    async def events(self, run_id: str, after_seq: int, limit: int) -> list[Event]:
        """Return events of a run that the caller was shown."""
        return await self._store.events(run_id, after_seq, limit)

    async def hash_at(self, run_id: str, seq: int) -> bytes:
        """Return the hash of an event of a run that the caller was shown, which the next one links to.

        That of seq 0 is the genesis of the log. Raises `Gone` where retention has removed the event.
        """
        if seq == 0:
            ((opening, began),) = await self._store.fetch(BEGINNING, run_id=run_id)
            return bytes(began or genesis(opening))
        found = await self._store.fetch(LINK, run_id=run_id, seq=seq)
        if not found:
            raise Gone(PRUNED, code="runs.pruned")
        return bytes(found[0][0])

    async def matching_events(self, run_id: str, after_seq: int, keep: Callable[[Event], bool]) -> AsyncIterator[Event]:
        """Yield the events after `after_seq` that `keep` lets through, in order."""
        while True:
            page = await self._store.events(run_id, after_seq, 500)
            for event in page:
                if keep(event):
                    yield event
            if len(page) < 500:
                return
            after_seq = page[-1].seq

    async def of_type(
        self, run_id: str, type: str, *, beyond: Beyond, limit: int, newest_first: bool = False
    ) -> list[Event]:
        """Return events of one type, of a run that the caller was shown."""
        query = OF_TYPE[1 if newest_first else 0]
        rows = await self._store.fetch(query, run_id=run_id, type=type, limit=limit, **beyond._asdict())
        return [event_of(row) for row in rows]

    async def all_of_type(self, run_id: str, type: str, page_size: int = SCAN_PAGE) -> AsyncIterator[Event]:
        """Yield all events of one type, oldest first, read so many at a time."""
        beyond = Beyond()
        while True:
            page = await self.of_type(run_id, type, beyond=beyond, limit=page_size)
            for each in page:
                yield each
            if len(page) < page_size:
                return
            beyond = Beyond(after_seq=page[-1].seq)

    async def terminal(self, run_id: str, page_size: int) -> AsyncIterator[Event]:
        """Yield all that the terminal of a run told, oldest first, read so many events at a time."""
        after_seq = 0
        while True:
            rows = await self._store.fetch(OF_TERMINAL, run_id=run_id, after_seq=after_seq, limit=page_size)
            page = [event_of(row) for row in rows]
            for each in page:
                yield each
            if len(page) < page_size:
                return
            after_seq = page[-1].seq

    async def exchanges(self, run: Run) -> dict[int, list[Event]]:
        """Return what was recorded of the attempts of a run in debug mode, by lease epoch, in order."""
        found: dict[int, list[Event]] = {}
        if run.spec.debug_mode or run.amended.debug_mode is not None:
            told: list[Event] = []
            for way in EXCHANGES:
                told += [event async for event in self.all_of_type(run.run_id, way)]
            for event in sorted(told, key=lambda event: event.seq):
                found.setdefault(event.lease_epoch, []).append(event)
        return found

    async def deliveries(self, run_id: str, limit: int) -> list[Delivery]:
        """Return the webhook deliveries about a run that the caller was shown, oldest first."""
        part = Slice(limit, newest_first=False)
        return [
            webhook_sql.delivery(row)
            for row in await read(self._store, webhook_sql.DELIVERIES_OF_RUN, part, run_id=run_id)
        ]

    async def job_version(self, job_version_id: str) -> JobVersion | None:
        """Return the version of a job that a run which the caller was shown started with."""
        rows = await self._store.fetch(job_sql.VERSION, job_version_id=job_version_id)
        return job_sql.version(rows[0]) if rows else None

    async def attempts(self, run_id: str) -> list[Attempt]:
        """Return the ended attempts of a run that the caller was shown."""
        return await self._store.attempts(run_id)

    async def values(self, record: Record, kind: str) -> list[Seen]:
        """Return the values of a kind, redacted. Raises `Gone` for a run whose data were erased."""
        require_data(record)
        stored = await self._store.values(record.run.run_id, kind)
        return [await self._seen(record.run.spec.project_id, value) for value in stored]

    async def value(self, record: Record, kind: str, key: str) -> Seen | None:
        """Return one value of a kind, redacted. Raises `Gone` for a run whose data were erased."""
        stored = await self._stored(record, kind, key)
        return None if stored is None else await self._seen(record.run.spec.project_id, stored)

    async def exact_bytes(self, record: Record, kind: str, key: str, note: Any) -> Seen | None:
        """Return bytes of a kind that have this note, as they were: redact what you show of them. Raises `Gone`."""
        stored = await self._stored(record, kind, key)
        if stored is None or stored.note is None or msgspec.json.decode(stored.note) != note:
            return None
        value = await self._values.unpack_bytes(record.run.spec.project_id, stored)
        return Seen(stored.key, value, note, stored.created_at)

    async def _stored(self, record: Record, kind: str, key: str) -> StoredValue | None:
        require_data(record)
        rows = await self._store.fetch(value_sql.BY_KEY, run_id=record.run.run_id, kind=kind, key=key)
        return StoredValue(*rows[0]) if rows else None

    async def _seen(self, project_id: str, stored: StoredValue) -> Seen:
        value = self._values.shown(project_id, await self._values.unpack(project_id, stored))
        note = None if stored.note is None else msgspec.json.decode(stored.note)
        return Seen(stored.key, value, note, stored.created_at)

    @property
    def kept(self) -> KeptValues:
        """Return the reads of all that a run was given, gave and kept, each as one JSON."""
        return KeptValues(self._store, self._values, prompts=self._actor.allows(PROMPTS))

    def payload(self, record: Record) -> Any:
        """Return a run's payload, redacted."""
        spec = record.run.spec
        return self._values.shown(spec.project_id, self._values.payload(spec, record.payload))

    def result(self, record: Record) -> Any:
        """Return a run's result, redacted; None while there is none."""
        spec = record.run.spec
        return self._values.shown(
            spec.project_id, self._values.open(spec.project_id, spec.run_id, "result", record.result)
        )

    def exact_payload(self, record: Record) -> Any:
        """Return a run's payload as it was given: for the engine's own use in a replay, never for an answer.

        Raises `Gone` for a run whose data were erased.
        """
        require_data(record)
        return self._values.payload(record.run.spec, record.payload)


def require_log(record: Record) -> None:
    """Raise `Gone` for a run of which retention has left the summary alone."""
    if record.pruned_at is not None:
        raise Gone(PRUNED, code="runs.pruned")


def require_data(record: Record) -> None:
    """Raise `Gone` for a run whose data were erased, or removed by retention."""
    require_log(record)
    if record.erased_at is not None:
        raise Gone("the data of this run were erased; its log goes on showing what happened", code="runs.erased")


def containing(actual: Any, wanted: Any) -> bool:
    """Tell whether `actual @> wanted`, as PostgreSQL's `jsonb` containment has it.

    Objects contain objects key by key; arrays contain arrays as sets; an array contains a scalar at the top level;
    numbers compare by value; null equals only null.
    """
    if isinstance(actual, list) and not isinstance(wanted, list | dict):
        return any(_equal(item, wanted) for item in actual)
    return _contains(actual, wanted)


def _contains(actual: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(actual, dict) and all(
            key in actual and _contains(actual[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(actual, list) and all(any(_contains(item, value) for item in actual) for value in wanted)
    return _equal(actual, wanted)


def _equal(actual: Any, wanted: Any) -> bool:
    if isinstance(actual, bool) or isinstance(wanted, bool):
        return actual is wanted
    return not isinstance(actual, dict | list) and bool(actual == wanted)


def has_pairs(actual: dict[str, str], wanted: Sequence[tuple[str, str | None]]) -> bool:
    """Tell whether a map has every key, with its value where one is given."""
    return all(key in actual and (value is None or actual[key] == value) for key, value in wanted)
