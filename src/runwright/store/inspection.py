"""Inspect one state of a database, whichever it is: every log, every sealed value, every artifact, every limit.

What is special to a database (its file, its schema) is looked at by that database's own check.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

from runwright.domain.chain import Break
from runwright.domain.ports import ArtifactStore, Sealer
from runwright.domain.schedule import next_fire
from runwright.errors import Error
from runwright.store import audit
from runwright.store.artifact_check import ArtifactCheck
from runwright.store.inspected import BATCH, Finding, Progress, State, Unlock, run_of
from runwright.store.log_inspection import inspect_logs
from runwright.store.queries import artifacts as artifact_sql
from runwright.store.queries import budgets as budget_sql
from runwright.store.queries import inspection as sql
from runwright.store.queries.audit import ENTRIES
from runwright.store.queries.auth import KEYRING
from runwright.store.queries.jobs import decoded
from runwright.store.seal_inspection import inspect_seals

ORPHANS_MAX = 20
_HEADS = tuple(f"{number:02x}" for number in range(256))


async def inspect(
    state: State, artifacts: ArtifactStore, runs: int, tell: Progress, unlock: Unlock | None
) -> list[Finding]:
    """Return everything that is wrong with a database of about so many runs; who can `unlock` opens what is sealed."""
    sealer, locked = await unlocked(state, unlock)
    looks = (
        inspect_logs(state, runs, tell, sealer),
        _orphans(state, tell),
        inspect_seals(state, tell, sealer),
        _audit_logs(state),
        _limits(state),
        _budgets(state),
        _schedules(state),
        _workflows(state),
        _artifacts(state, artifacts, tell),
    )
    return locked + [finding for look in looks async for finding in look]


async def unlocked(state: State, unlock: Unlock | None) -> tuple[Sealer | None, list[Finding]]:
    """Return what opens what is sealed in a database, or why nothing can; neither, where nobody gave a key."""
    if unlock is None:
        return None, []
    try:
        return unlock(dict(await state.fetch(KEYRING))), []
    except (Error, KeyError) as broken:
        return None, [Finding("keyring", "master key", getattr(broken, "detail", f"the key {broken} is missing"))]


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
                run = run_of(opening, standing)
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
