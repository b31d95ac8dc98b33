"""Inspect one state of a database, whichever it is: every log, every sealed value, every artifact, every limit.

What is special to a database (its file, its schema) is looked at by that database's own check.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Protocol

import msgspec

from runwright.domain import checkpoints, pruning, usage_pruning
from runwright.domain.chain import Break, genesis, verify
from runwright.domain.erasure import ACTION, receipt
from runwright.domain.events import Event
from runwright.domain.evidence import SIGNED, SignedHead, unlike
from runwright.domain.gathering import context, sealed_parts
from runwright.domain.ports import ArtifactStore, Sealer
from runwright.domain.run import Run
from runwright.domain.schedule import next_fire
from runwright.domain.thread import context as context_of_message
from runwright.domain.usage_pruning import forgotten
from runwright.errors import Error
from runwright.store import audit, rows
from runwright.store.artifact_check import ArtifactCheck
from runwright.store.base import Row
from runwright.store.queries import artifacts as artifact_sql
from runwright.store.queries import budgets as budget_sql
from runwright.store.queries import inspection as sql
from runwright.store.queries import secrets as secret_sql
from runwright.store.queries import usage as usage_sql
from runwright.store.queries.audit import ENTRIES
from runwright.store.queries.auth import KEYRING
from runwright.store.queries.jobs import decoded
from runwright.store.query import Query

Progress = Callable[[str, int, int], None]
"""Told what is done (`logs`, `artifacts` …), how much of it, of how much."""

Unlock = Callable[[dict[str, bytes]], Sealer]
"""Makes a sealer of a keyring's entries. Raises `StoreError` when they were wrapped with another master key."""

BATCH = 500
ORPHANS_MAX = 20
_HEADS = tuple(f"{number:02x}" for number in range(256))


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it must be: where, of what, and how."""

    where: str
    what: str
    how: str


class State(Protocol):
    """One state of a database, whatever is written meanwhile."""

    async def fetch(self, query: Query, **params: Any) -> list[Row]:
        """Run a read-only query and return its rows."""


async def inspect(
    state: State, artifacts: ArtifactStore, runs: int, tell: Progress, unlock: Unlock | None
) -> list[Finding]:
    """Return everything that is wrong with a database of about so many runs; who can `unlock` opens what is sealed."""
    sealer, locked = await _unlocked(state, unlock)
    looks = (
        _logs(state, runs, tell, sealer),
        _orphans(state, tell),
        _values(state, tell, sealer),
        _secrets(state, tell, sealer),
        _kept_signals(state, tell, sealer),
        _messages(state, tell, sealer),
        _memory(state, tell, sealer),
        _audit_logs(state),
        _limits(state),
        _budgets(state),
        _schedules(state),
        _workflows(state),
        _artifacts(state, artifacts, tell),
    )
    return locked + [finding for look in looks async for finding in look]


async def _unlocked(state: State, unlock: Unlock | None) -> tuple[Sealer | None, list[Finding]]:
    if unlock is None:
        return None, []
    try:
        return unlock(dict(await state.fetch(KEYRING))), []
    except (Error, KeyError) as broken:
        return None, [Finding("keyring", "master key", getattr(broken, "detail", f"the key {broken} is missing"))]


async def _logs(state: State, count: int, tell: Progress, sealer: Sealer | None) -> AsyncIterator[Finding]:
    receipts = {target: msgspec.json.decode(data) for target, data in await state.fetch(sql.RECEIPTS, action=ACTION)}
    roots = {target for target, _ in await state.fetch(sql.RECEIPTS, action=pruning.ACTION)}
    spent = forgotten([(row[0], row[1]) for row in await state.fetch(sql.RECEIPTS, action=usage_pruning.ACTION)])
    signed = await _signed(state)
    after, done = "", 0
    while page := await state.fetch(sql.RUNS, after=after, limit=BATCH):
        span = {"first": page[0][0], "last": page[-1][0]}
        logs = _Logs(state, **span)
        asked = await _asked(state, **span)
        used = {run_id: tuple(sums) for run_id, *sums in await state.fetch(usage_sql.OF_RUNS, **span)}
        for run_id, root, erased_at, pruned_at, way, payload, result, opening, *standing in page:
            events = await logs.of(run_id)
            try:
                run = _run(opening, standing)
                began = root or genesis(opening)
                broken = None
                if pruned_at is None:
                    broken = verify(began, (event.link() for event in events), run.hash)
                unproven = pruned_at is not None and (bool(events) or _root(run, began, way) not in roots)
                left = None if erased_at is None else _receipt(run, root, opening)
                unopened = _unopened(sealer, run, payload, {"result": result})
            except (TypeError, ValueError) as nonsense:  # bytes that were made texts, JSON that is none
                yield Finding("log", run_id, f"cannot be read: {nonsense}")
                continue
            if broken is not None:
                yield Finding("log", run_id, f"event {broken.seq} was {broken.what}")
            size = unlike(signed.get(run_id, ()), events) if pruned_at is None else None
            if broken is None and size is not None:
                yield Finding("log", run_id, f"its first {size} events are not those whose head was signed")
            if unproven:
                yield Finding("log", run_id, "what retention left is not what the audit log says")
            least = spent.get(run.spec.org_id, 0)
            gone = run_id not in used and run.finished_at is not None and run.finished_at < least
            if run.spec.speaks is not None and not gone and used.get(run_id, (0, 0, 0)) != _totals(run):
                yield Finding("usage", run_id, "its calls of models do not add up to its totals")
            told = [event for event in events if checkpoints.tells(event)]
            whole = all(event.data is not None for event in told)
            if whole and asked.get(run_id, {}) != checkpoints.fold(told):
                yield Finding("approvals", run_id, "the list of what it asked people is not what its log tells")
            if left is not None and receipts.get(run_id) != left:
                yield Finding("log", run_id, "what its erasure left is not what the audit log says")
            for finding in unopened:
                yield finding
        after, done = page[-1][0], done + len(page)
        tell("logs", done, max(count, done))


async def _asked(state: State, first: str, last: str) -> dict[str, dict[str, checkpoints.Checkpoint | None]]:
    """Return the approvals that are listed for each of a page of runs; None for a row that says nothing, or two."""
    found: dict[str, dict[str, checkpoints.Checkpoint | None]] = {}
    for run_id, checkpoint_id, status, row in await state.fetch(sql.APPROVALS, first=first, last=last):
        try:
            listed = checkpoints.read(row)
        except ValueError:
            listed = None
        found.setdefault(run_id, {})[checkpoint_id] = listed if listed and listed.status == status else None
    return found


async def _signed(state: State) -> dict[str, list[SignedHead]]:
    """Return the heads that were signed of each log."""
    found: dict[str, list[SignedHead]] = {}
    for target, data in await state.fetch(sql.RECEIPTS, action=SIGNED):
        found.setdefault(target, []).append(msgspec.json.decode(data, type=SignedHead))
    return found


class _Logs:
    """The events of a page of runs, run by run, read in batches."""

    def __init__(self, state: State, first: str, last: str) -> None:
        self._state = state
        self._span = {"first": first, "last": last}
        self._read: list[Event] = []
        self._place = (first, 0)
        self._whole = False

    async def of(self, run_id: str) -> list[Event]:
        """Return the events of the next run; those of runs that are not there are passed over."""
        found: list[Event] = []
        while True:
            for number, event in enumerate(self._read):
                if event.run_id > run_id:
                    del self._read[:number]
                    return found
                if event.run_id == run_id:
                    found.append(event)
            self._read = []
            if self._whole:
                return found
            run, seq = self._place
            page = await self._state.fetch(sql.EVENTS, **self._span, run_id=run, seq=seq, limit=BATCH * 4)
            self._read = [Event(*row) for row in page]
            self._whole = len(page) < BATCH * 4
            if page:
                self._place = (self._read[-1].run_id, self._read[-1].seq)


def _run(opening: bytes, row: list[Any]) -> Run:
    after = len(rows.STANDING)
    live = tuple(row[after:])
    return rows.run_from(opening, tuple(row[:after]), live if live[0] is not None else None)


def _totals(run: Run) -> tuple[int, int, int]:
    return (run.usage.input_tokens, run.usage.output_tokens, run.usage.cost_microusd)


def _receipt(run: Run, root: bytes | None, opening: bytes) -> dict[str, Any]:
    return msgspec.structs.asdict(receipt(run.seq, run.hash, root or b"", opening))


def _root(run: Run, began: bytes, way: bytes | None) -> str:
    left = pruning.Remains(run.finished_at or 0, began.hex(), run.hash.hex(), run.run_id, run.seq, run.state)
    return pruning.root(left, way or b"")


def _unopened(sealer: Sealer | None, run: Run, payload: bytes | None, sealed: dict[str, bytes | None]) -> list[Finding]:
    if sealer is None:
        return []
    places = [(f"{run.run_id}/{name}", data) for name, data in sealed.items() if data is not None]
    places += [(context(run.spec), part) for part in sealed_parts(run.spec, payload)] if payload is not None else []
    return [each for place, data in places for each in _opened(sealer, run.spec.project_id, data, place)]


def _opened(sealer: Sealer, project_id: str, sealed: bytes, context: str) -> Iterator[Finding]:
    try:
        sealer.open(project_id, sealed, context)
    except (Error, TypeError):
        yield Finding("sealed value", context, "is not what was sealed there")


async def _values(state: State, tell: Progress, sealer: Sealer | None) -> AsyncIterator[Finding]:
    place, done = {"run_id": "", "kind": "", "key": ""}, 0
    while sealer is not None and (page := await state.fetch(sql.SEALED, **place, limit=BATCH)):
        for run_id, kind, key, sealed, project_id in page:
            if sealed is not None:
                for finding in _opened(sealer, project_id, sealed, f"{run_id}/{kind}/{key}"):
                    yield finding
        place, done = dict(zip(place, page[-1][:3], strict=True)), done + len(page)
        tell("sealed values", done, done)


async def _secrets(state: State, tell: Progress, sealer: Sealer | None) -> AsyncIterator[Finding]:
    place, done = {"after_project": "", "after": "", "after_version": 0}, 0
    while sealer is not None and (page := await state.fetch(secret_sql.SEALED_VALUES, **place, limit=BATCH)):
        for project_id, secret_id, version, sealed in page:
            for finding in _opened(sealer, project_id, sealed, f"{secret_id}/{version}"):
                yield finding
        place, done = dict(zip(place, page[-1][:3], strict=True)), done + len(page)
        tell("secrets", done, done)
    after = ""
    while sealer is not None and (page := await state.fetch(secret_sql.SEALED_SIGNING, after=after, limit=BATCH)):
        for owner_id, project_id, *secrets in page:
            for sealed in secrets:
                if sealed is not None:
                    for finding in _opened(sealer, project_id or "", sealed, f"{owner_id}/signing"):
                        yield finding
        after, done = page[-1][0], done + len(page)
        tell("secrets", done, done)


async def _kept_signals(state: State, tell: Progress, sealer: Sealer | None) -> AsyncIterator[Finding]:
    after, done = "", 0
    while sealer is not None and (page := await state.fetch(sql.KEPT_SIGNALS, after=after, limit=BATCH)):
        for signal_id, project_id, sealed in page:
            for finding in _opened(sealer, project_id, sealed, f"{signal_id}/payload"):
                yield finding
        after, done = page[-1][0], done + len(page)
        tell("kept events", done, done)


async def _messages(state: State, tell: Progress, sealer: Sealer | None) -> AsyncIterator[Finding]:
    after, done = "", 0
    while sealer is not None and (page := await state.fetch(sql.MESSAGES, after=after, limit=BATCH)):
        for message_id, project_id, sealed in page:
            for finding in _opened(sealer, project_id, sealed, context_of_message(message_id)):
                yield finding
        after, done = page[-1][0], done + len(page)
        tell("messages", done, done)


async def _memory(state: State, tell: Progress, sealer: Sealer | None) -> AsyncIterator[Finding]:
    job, key, done = "", "", 0
    while sealer is not None and (page := await state.fetch(sql.MEMORY, after=job, after_key=key, limit=BATCH)):
        for job_id, memory_key, project_id, sealed in page:
            for finding in _opened(sealer, project_id, sealed, f"{job_id}/memory/{memory_key}"):
                yield finding
        (job, key), done = page[-1][:2], done + len(page)
        tell("memory of jobs", done, done)


async def _orphans(state: State, tell: Progress) -> AsyncIterator[Finding]:
    for number, (table, query) in enumerate(sql.ORPHANS.items(), 1):
        for (run_id,) in await state.fetch(query, limit=ORPHANS_MAX):
            yield Finding("row", f"{table} of {run_id}", "tells of a run that is not there")
        tell("orphaned rows", number, len(sql.ORPHANS))


async def _audit_logs(state: State) -> AsyncIterator[Finding]:
    for org_id, number, head in await state.fetch(sql.AUDIT_HEADS):
        entries: list[audit.Entry] = []
        while page := await state.fetch(
            ENTRIES, org_id=org_id, after=entries[-1].number if entries else 0, limit=BATCH
        ):
            entries += [audit.Entry(*row) for row in page]
        broken = audit.verify(org_id, entries, head)
        if broken is None and len(entries) != number:
            broken = Break(len(entries) + 1, "dropped")
        if broken is not None:
            yield Finding("audit log", org_id, f"entry {broken.seq} was {broken.what}")


async def _limits(state: State) -> AsyncIterator[Finding]:
    owners: Counter[str] = Counter()
    after = ""
    while page := await state.fetch(sql.LIVE, after=after, limit=BATCH):
        after = page[-1][0]
        for _, opening, *standing in page:
            try:
                run = _run(opening, standing)
            except (TypeError, ValueError):
                continue  # its log was found already
            for limit in run.spec.limits if run.owns_slots else ():
                owners[limit.key] += 1
    used: dict[str, int] = dict(await state.fetch(sql.LIMITS))
    for key in sorted(used.keys() | owners.keys()):
        if used.get(key, 0) != owners[key]:
            yield Finding("limit", key, f"{used.get(key, 0)} slots are used, {owners[key]} runs own one")


async def _budgets(state: State) -> AsyncIterator[Finding]:
    for key, reserved, held in await state.fetch(budget_sql.UNEVEN):
        yield Finding("budget", key, f"{reserved} micro-USD are reserved, calls of models hold {held}")


async def _schedules(state: State) -> AsyncIterator[Finding]:
    for (job_id,) in await state.fetch(sql.JOBLESS, limit=ORPHANS_MAX):
        yield Finding("schedule", job_id, "tells of a job that is not there")
    after = ""
    while page := await state.fetch(sql.JOBS, after=after, limit=BATCH):
        after = page[-1][0]
        for job_id, *row in page:
            try:
                wrong = _schedule(*row)
            except (TypeError, ValueError) as nonsense:
                wrong = f"cannot be compared with the job: {nonsense}"
            if wrong is not None:
                yield Finding("schedule", job_id, wrong)


def _schedule(job_version_id: str, stored: bytes, version_id: str | None, next_fire_at: int | None) -> str | None:
    """Return how a schedule, or that there is none, differs from what its job says."""
    definition = decoded(stored)
    cron = definition.schedule
    if cron is None:
        return None if version_id is None else "is there, and the job has no cron"
    if version_id is None:
        return "is missing, and the job has cron"
    if version_id != job_version_id:
        return f"is of version {version_id}, the job of {job_version_id}"
    if next_fire_at is not None and not definition.enabled:
        return "goes on, and the job is disabled"
    if next_fire_at is None and definition.enabled and next_fire(cron, 0) is not None:
        return "stands still, and the job is enabled"
    return None


async def _workflows(state: State) -> AsyncIterator[Finding]:
    after = ""
    while page := await state.fetch(sql.WORKFLOWS, after=after, limit=BATCH):
        after = page[-1][0]
        for workflow_id, definition, of_version in page:
            if of_version != definition:
                how = "names a version that is not there" if of_version is None else "is not what its version says"
                yield Finding("workflow", workflow_id, how)


async def _artifacts(state: State, artifacts: ArtifactStore, tell: Progress) -> AsyncIterator[Finding]:
    look = ArtifactCheck(artifacts)
    for number, head in enumerate(_HEADS, 1):
        for (digest,) in await state.fetch(artifact_sql.NAMED, first=head, last=f"{head}g"):
            wrong = await look.wrong(digest)
            if look.gone:
                yield Finding("artifacts", "all", f"cannot be looked at: {wrong}")
                return
            if wrong is not None:
                yield Finding("artifact", digest, wrong)
        tell("artifacts", number, len(_HEADS))
