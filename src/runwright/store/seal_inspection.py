"""Inspect everything that is sealed: it opens under its own name, with the key of its project."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from runwright.domain.gathering import context, sealed_parts
from runwright.domain.ports import Sealer
from runwright.domain.run import Run
from runwright.domain.thread import context as context_of_message
from runwright.errors import Error
from runwright.store.inspected import BATCH, Finding, Progress, State
from runwright.store.queries import inspection as sql
from runwright.store.queries import secrets as secret_sql


async def inspect_seals(state: State, tell: Progress, sealer: Sealer | None) -> AsyncIterator[Finding]:
    """Find what is not what was sealed there, beside the rows of runs; nothing, where nobody can open it."""
    if sealer is not None:
        for look in (_values, _secrets, _kept_signals, _messages, _memory):
            async for finding in look(state, tell, sealer):
                yield finding


def unopenable(
    sealer: Sealer | None, run: Run, payload: bytes | None, sealed: dict[str, bytes | None]
) -> list[Finding]:
    """Return what of a row of a run is not what was sealed there."""
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


async def _values(state: State, tell: Progress, sealer: Sealer) -> AsyncIterator[Finding]:
    place, done = {"run_id": "", "kind": "", "key": ""}, 0
    while page := await state.fetch(sql.SEALED, **place, limit=BATCH):
        for run_id, kind, key, sealed, project_id in page:
            if sealed is not None:
                for finding in _opened(sealer, project_id, sealed, f"{run_id}/{kind}/{key}"):
                    yield finding
        place, done = dict(zip(place, page[-1][:3], strict=True)), done + len(page)
        tell("sealed values", done, done)


async def _secrets(state: State, tell: Progress, sealer: Sealer) -> AsyncIterator[Finding]:
    place, done = {"after_project": "", "after": "", "after_version": 0}, 0
    while page := await state.fetch(secret_sql.SEALED_VALUES, **place, limit=BATCH):
        for project_id, secret_id, version, sealed in page:
            for finding in _opened(sealer, project_id, sealed, f"{secret_id}/{version}"):
                yield finding
        place, done = dict(zip(place, page[-1][:3], strict=True)), done + len(page)
        tell("secrets", done, done)
    after = ""
    while page := await state.fetch(secret_sql.SEALED_SIGNING, after=after, limit=BATCH):
        for owner_id, project_id, *secrets in page:
            for sealed in secrets:
                if sealed is not None:
                    for finding in _opened(sealer, project_id or "", sealed, f"{owner_id}/signing"):
                        yield finding
        after, done = page[-1][0], done + len(page)
        tell("secrets", done, done)


async def _kept_signals(state: State, tell: Progress, sealer: Sealer) -> AsyncIterator[Finding]:
    after, done = "", 0
    while page := await state.fetch(sql.KEPT_SIGNALS, after=after, limit=BATCH):
        for signal_id, project_id, sealed in page:
            for finding in _opened(sealer, project_id, sealed, f"{signal_id}/payload"):
                yield finding
        after, done = page[-1][0], done + len(page)
        tell("kept events", done, done)


async def _messages(state: State, tell: Progress, sealer: Sealer) -> AsyncIterator[Finding]:
    after, done = "", 0
    while page := await state.fetch(sql.MESSAGES, after=after, limit=BATCH):
        for message_id, project_id, sealed in page:
            for finding in _opened(sealer, project_id, sealed, context_of_message(message_id)):
                yield finding
        after, done = page[-1][0], done + len(page)
        tell("messages", done, done)


async def _memory(state: State, tell: Progress, sealer: Sealer) -> AsyncIterator[Finding]:
    job, key, done = "", "", 0
    while page := await state.fetch(sql.MEMORY, after=job, after_key=key, limit=BATCH):
        for job_id, memory_key, project_id, sealed in page:
            for finding in _opened(sealer, project_id, sealed, f"{job_id}/memory/{memory_key}"):
                yield finding
        (job, key), done = page[-1][:2], done + len(page)
        tell("memory of jobs", done, done)
