"""Cancel and replay many runs at once: in the order asked for, each once, a few statements for hundreds of them.

What became of each item is written in the transaction that did it, as a batch operation: a server that is lost on the
way leaves one that is not finished, with what was done so far.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from runwright import ids
from runwright.clock import Clock
from runwright.domain.batch_operations import BatchOperation, BatchResult
from runwright.domain.commands import Stop, Submit
from runwright.domain.job import Job
from runwright.domain.run import Run, Spec
from runwright.domain.tenancy import Actor, Cause
from runwright.domain.words import word_of
from runwright.engine.commit import Commit
from runwright.engine.reader import Filter, Reader
from runwright.engine.redactors import Redactors
from runwright.engine.requests import Submitted, Tell
from runwright.errors import Error
from runwright.store.base import Record

PAGE = 500

_results = msgspec.json.Decoder(list[BatchResult]).decode


class Done(msgspec.Struct, frozen=True):
    """What a bulk verb did: the operation, what became of each item, and whether there is more to do."""

    operation: BatchOperation
    results: list[BatchResult]
    more: bool = False


class Found(msgspec.Struct, frozen=True):
    """What a bulk verb would be about: the specs of the runs, oldest first, and whether there are more."""

    specs: list[Spec]
    more: bool


class Bulk:
    """The verbs on many runs; `chunk` of them share a transaction."""

    def __init__(self, commit: Commit, clock: Clock, redactors: Redactors, *, chunk: int) -> None:
        self._commit = commit
        self._clock = clock
        self._redactors = redactors
        self._chunk = chunk

    async def cancel(
        self, reader: Reader, actor: Actor, run_ids: Iterable[str], *, reason: str | None, request_id: str | None
    ) -> Done:
        """Cancel the runs named; one that executes has been asked to, and is not waited for."""
        asked = list(dict.fromkeys(run_ids))
        seen = {record.run.run_id: record.run.spec for record in await reader.records(asked)}
        operation = self.operation(actor, "cancel", len(asked), seen.values())
        cause = Cause(actor.label, self._redacted(reason, seen.values()), request_id)
        return await self._cancelled(operation, asked, seen.keys(), cause)

    async def matching(self, reader: Reader, wanted: Filter, limit: int) -> Found:
        """Return up to `limit` runs that a filter holds, oldest first."""
        found: list[Spec] = []
        bound: str | None = None
        while True:
            listed = await reader.runs(wanted, bound=bound, limit=min(PAGE, limit + 1 - len(found)), newest_first=False)
            found += [record.run.spec for record in listed.records]
            if len(found) > limit:
                return Found(found[:limit], more=True)
            if listed.next_cursor is None:
                return Found(found, more=False)
            bound = listed.next_cursor

    async def cancel_found(self, actor: Actor, found: Found, *, reason: str | None, request_id: str | None) -> Done:
        """Cancel the runs that were found."""
        asked = [spec.run_id for spec in found.specs]
        operation = self.operation(actor, "cancel_all", len(asked), found.specs)
        cause = Cause(actor.label, self._redacted(reason, found.specs), request_id)
        return msgspec.structs.replace(await self._cancelled(operation, asked, set(asked), cause), more=found.more)

    def _redacted(self, reason: str | None, specs: Iterable[Spec]) -> str | None:
        """Return a reason without the secrets of the projects whose runs tell it."""
        for project_id in {spec.project_id for spec in specs} if reason is not None else ():
            reason = self._redactors.of(project_id).text(reason or "")
        return reason

    async def trigger(self, operation: BatchOperation, commands: Sequence[Submit]) -> list[Submitted | Error]:
        """Make the runs of these commands in one transaction and return what became of each."""

        def results(answers: Sequence[Any], _after: Mapping[str, Run]) -> list[BatchResult]:
            return [_triggered(answer) for answer in answers]

        return (await self._commit.apply_all([*commands, Tell(operation, results)]))[:-1]

    async def submit(self, operation: BatchOperation, items: Sequence[tuple[str, Submit | Error]]) -> Done:
        """Make the runs of these commands (each about a run named), all of them in one transaction."""
        answers: dict[str, Any] = {}

        def results(given: Sequence[Any], _after: Mapping[str, Run]) -> list[BatchResult]:
            told = iter(given)
            answers.clear()
            answers.update((run_id, next(told) if isinstance(item, Submit) else item) for run_id, item in items)
            return [_made(run_id, answer) for run_id, answer in answers.items()]

        commands = [item for _, item in items if isinstance(item, Submit)]
        told: BatchOperation = (await self._commit.apply_all([*commands, Tell(operation, results)]))[-1]
        return Done(told, _results(told.results))

    def operation(
        self, actor: Actor, verb: str, count: int, specs: Iterable[Spec] = (), job: Job | None = None
    ) -> BatchOperation:
        """Return an operation that begins now; it is of a project, or a job, if all of its runs are."""
        projects: set[str] = set() if job is None else {job.project_id}
        jobs: set[str | None] = set() if job is None else {job.job_id}
        for spec in specs:
            projects.add(spec.project_id)
            jobs.add(spec.job_id)
        now = self._clock.now()
        return BatchOperation(
            batch_id=ids.new_id("batch", now),
            org_id=actor.org_id,
            project_id=projects.pop() if len(projects) == 1 else actor.project_id,
            job_id=jobs.pop() if len(jobs) == 1 else None,
            verb=verb,
            item_count=count,
            created_count=0,
            created_by=actor.label,
            created_at=now,
            finished_at=None,
            results=b"[]",
        )

    async def _cancelled(
        self, operation: BatchOperation, asked: Sequence[str], theirs: Iterable[str], cause: Cause
    ) -> Done:
        seen, told, done = set(theirs), operation, list[BatchResult]()
        parts = [asked[first : first + self._chunk] for first in range(0, len(asked), self._chunk)] or [()]
        for number, part in enumerate(parts, 1):

            def results(
                answers: Sequence[Any],
                after: Mapping[str, Run],
                part: Sequence[str] = part,
                before: Sequence[BatchResult] = tuple(done),
            ) -> list[BatchResult]:
                given = iter(answers)
                ends = (_stopped(run_id, next(given), after) if run_id in seen else _unknown(run_id) for run_id in part)
                return [*before, *ends]

            stops = [Stop(run_id, "cancel", cause) for run_id in part if run_id in seen]
            tell = Tell(operation, results, finished=number == len(parts))
            told = (await self._commit.apply_all([*stops, tell]))[-1]
            done = _results(told.results)
        return Done(told, done)


def _unknown(run_id: str) -> BatchResult:
    return BatchResult(id=run_id, status="not_found", error="there is no such run", code="runs.not_found")


def _stopped(run_id: str, answer: Any, after: Mapping[str, Run]) -> BatchResult:
    if isinstance(answer, Run):
        return BatchResult(id=run_id, status=word_of(answer))
    run = after.get(run_id)
    status = "not_found" if run is None else word_of(run)
    return BatchResult(id=run_id, status=status, error=answer.detail, code=answer.code)


def _triggered(answer: Submitted | Error) -> BatchResult:
    if isinstance(answer, Error):
        return BatchResult(error=answer.detail, code=answer.code)
    return BatchResult(id=answer.run_id, status=_word(answer), hit=answer.hit)


def _made(run_id: str, answer: Submitted | Error) -> BatchResult:
    if isinstance(answer, Error):
        return BatchResult(id=run_id, error=answer.detail, code=answer.code)
    return BatchResult(id=run_id, made=answer.run_id, status=_word(answer), hit=answer.hit)


def _word(answer: Submitted) -> str | None:
    return None if answer.run is None else word_of(answer.run)  # what a key had made before was not looked up


def made_of(records: Iterable[Record], results: Sequence[BatchResult]) -> list[Record]:
    """Return the runs that were made, in the order of the items."""
    by_id = {record.run.run_id: record for record in records}
    return [by_id[result.made] for result in results if result.made in by_id]
