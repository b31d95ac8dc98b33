"""Let runs go on that wait for runs of other jobs, or end them when those ended otherwise.

A run is first made waiting, durably, and then looked at (the errand `depend`); the run that it waits for first ends,
durably, and then is looked for who waits for it (`release`). Whichever comes later sees the other, on any server. Only
who does not know yet that others depend on a job leaves no `release`; for that a slow look at all who wait is beneath.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from runwright.clock import Clock
from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain.dependency import (
    Dependency,
    Ended,
    Verdict,
    failure,
    judge,
    limit_s,
    outcome,
    ready_at,
)
from runwright.domain.run import Run, Spec, Wait
from runwright.domain.tenancy import DEPENDENCIES, Cause
from runwright.engine.commit import Commit
from runwright.engine.dependencies import Known
from runwright.engine.loops import Loop
from runwright.errors import Error, InvalidTransition, NotFound
from runwright.store.base import Store
from runwright.store.queries import dependencies as q
from runwright.store.query import Query

PAGE = 200
LAST = 2**63 - 1
BELOW = "zzzz"  # after every id


class Releases:
    """Looks at runs that wait for others. `scan`: how many of a job's newest runs are looked through for an ended one.

    The loop reads again which jobs depend on which, and looks at a page of those who wait, in turns.
    """

    def __init__(self, store: Store, commit: Commit, known: Known, clock: Clock, *, scan: int, every_s: float) -> None:
        self._store = store
        self._commit = commit
        self._known = known
        self._scan = scan
        self._above = ""
        self.loop = Loop("dependencies", self._once, clock, every_s=every_s)

    # --- errands ------------------------------------------------------------------------------------------------------

    async def release(self, run_id: str, body: bytes) -> None:
        """Look at whoever may wait for the run, which has ended."""
        record = await self._store.record(run_id)
        if record is not None:
            spec = record.run.spec
            await self._each(q.WAITING_FOR, job_id=spec.job_id, key=spec.dependency_key)

    async def depend(self, ident: str, body: bytes) -> None:
        """Look at a run that waits, or at all of a job that do: its dependencies were changed."""
        if body == b"null":
            await self._settle([ident])
        else:
            await self._each(q.WAITING_OF_JOB, job_id=ident)

    async def _each(self, query: Query, **params: str | None) -> None:
        above = ""
        while True:
            run_ids = [run_id for (run_id,) in await self._store.fetch(query, above=above, limit=PAGE, **params)]
            await self._settle(run_ids)
            if len(run_ids) < PAGE:
                return
            above = run_ids[-1]

    async def _settle(self, run_ids: Sequence[str]) -> None:
        found = [record.run for record in await self._store.records_of(run_ids)]
        waiting = [run for run in found if run.state == "waiting" and run.reason == "dependency"]
        wanted = [_answer(run, verdicts) for run, verdicts in await self._judged(waiting)]
        commands = [command for command in wanted if command is not None]
        if not commands:
            return
        for answer in await self._commit.apply_all(commands):
            if isinstance(answer, Error) and not isinstance(answer, InvalidTransition | NotFound):
                raise answer

    async def _once(self) -> None:
        await self._known.refresh()
        page = [run_id for (run_id,) in await self._store.fetch(q.WAITING, above=self._above, limit=PAGE)]
        self._above = page[-1] if len(page) == PAGE else ""
        await self._settle(page)

    # --- looking ------------------------------------------------------------------------------------------------------

    async def ready(self, commands: Sequence[c.Submit]) -> list[c.Submit]:
        """Return the commands, those without their wait whose runs have what they need, or need nothing any more."""
        asked = [command for command in commands if command.wait is not None]
        if not asked:
            return list(commands)
        looks = _Looks(self._store, self._scan)
        answers = {}
        for command in asked:
            found = await looks.dependencies(command.spec.job_id)
            met = False
            if not found or not _later(command):
                verdicts = [await looks.verdict(each, command.spec, ready_at(command.spec), LAST) for each in found]
                met = outcome(verdicts)[0] == "met"
            wait = None if met else Wait("dependency", limit_s=limit_s(found))
            answers[command.run_id] = replace(command, wait=wait)
        return [answers.get(command.run_id, command) for command in commands]

    async def verdicts(self, run: Run) -> list[Verdict]:
        """Return what each dependency of its job says of a run: as things stand, or stood when it began."""
        at = run.started_at or run.finished_at or LAST
        looks = _Looks(self._store, self._scan)
        return [
            await looks.verdict(each, run.spec, _ready_at(run), at)
            for each in await looks.dependencies(run.spec.job_id)
        ]

    async def _judged(self, runs: Iterable[Run]) -> list[tuple[Run, list[Verdict]]]:
        looks = _Looks(self._store, self._scan)
        return [
            (
                run,
                [
                    await looks.verdict(each, run.spec, _ready_at(run), LAST)
                    for each in await looks.dependencies(run.spec.job_id)
                ],
            )
            for run in runs
        ]


class _Looks:
    """What was looked up in one round: each dependency looks once for a key, however many runs wait with it."""

    def __init__(self, store: Store, scan: int) -> None:
        self._store = store
        self._scan = scan
        self._dependencies: dict[str, list[Dependency]] = {}
        self._ended: dict[tuple[str, str | None, int], Ended | None] = {}

    async def dependencies(self, job_id: str | None) -> list[Dependency]:
        if job_id is None:
            return []
        if job_id not in self._dependencies:
            rows = await self._store.fetch(q.OF_JOB, job_id=job_id)
            self._dependencies[job_id] = [q.dependency(row) for row in rows]
        return self._dependencies[job_id]

    async def verdict(self, dependency: Dependency, spec: Spec, ready: int, at: int) -> Verdict:
        upstream = dependency.depends_on_job_id
        place = (upstream, spec.dependency_key, at)
        if place not in self._ended:
            self._ended[place] = await self._newest(*place)
        return judge(dependency, self._ended[place], ready)

    async def _newest(self, job_id: str, key: str | None, at: int) -> Ended | None:
        if key is not None:
            rows = await self._store.fetch(q.ENDED_OF_KEY, job_id=job_id, key=key, at=at, limit=1)
        else:
            rows = await self._store.fetch(q.ENDED, job_id=job_id, below=BELOW, at=at, scan=self._scan, limit=1)
        return Ended(*rows[0]) if rows else None


def _ready_at(run: Run) -> int:
    return ready_at(run.spec, run.amended.scheduled_at)


def _later(command: c.Submit) -> bool:
    return command.spec.scheduled_at is not None and command.spec.scheduled_at > command.spec.created_at


def _answer(run: Run, verdicts: Sequence[Verdict]) -> c.Command | None:
    """Return what a waiting run is told after a look at what it needs; None where it goes on waiting."""
    what, verdict = outcome(verdicts)
    if what == "met":
        return c.Wake(run_id=run.run_id, on="dependency", cause=Cause(DEPENDENCIES))
    if what == "wait" or verdict is None:
        return None
    cause = Cause(DEPENDENCIES, f"{verdict.why} ({verdict.run_id})")
    ended = o.Stopped() if what == "skip" else failure(verdict)
    return c.Proceed(run_id=run.run_id, on="dependency", cause=cause, outcome=ended)
