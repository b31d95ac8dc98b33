"""Runs and their children: what the end of one does to the others."""

from __future__ import annotations

from typing import Any

from runwright.domain.commands import Stop, Wake
from runwright.domain.tenancy import Cause
from runwright.domain.words import word_of
from runwright.engine.commit import Commit
from runwright.engine.values import Values
from runwright.errors import Error, InvalidTransition, NotFound
from runwright.store.base import Record, Store
from runwright.store.queries.runs import LIVE_CHILDREN


class Children:
    """The errands between parents and children."""

    def __init__(self, store: Store, commit: Commit, values: Values) -> None:
        self._store = store
        self._commit = commit
        self._values = values

    async def tell_parent(self, run_id: str, body: bytes) -> None:
        """Wake the parent that waits for the end of this run, and give it what became of it, also where it failed.

        A parent that parks after this look finds that the run has ended, and has this errand done again.
        """
        record = await self._store.record(run_id)
        parent = None if record is None else await self._store.record(record.run.spec.parent_run_id or "")
        if record is None or parent is None:
            return
        wait = parent.run.wait
        if wait is None or (wait.on, wait.key) != ("child", run_id):
            return
        await self._values.ensure([record.run.spec.project_id])
        wake = Wake(
            run_id=parent.run.run_id,
            on="child",
            key=run_id,
            cause=Cause(f"run:{run_id}", "the child ended"),
            delivery=self._values.deliver(parent.run, self._end(record)),
        )
        await self._commit.apply(wake)

    def _end(self, record: Record) -> dict[str, Any]:
        run, spec = record.run, record.run.spec
        return {
            "run_id": run.run_id,
            "status": word_of(run),
            "result": self._values.open(spec.project_id, spec.run_id, "result", record.result),
            "error": run.error,
            "error_class": run.error_class,
        }

    async def cancel(self, run_id: str, body: bytes) -> None:
        """Cancel the live children of a run that was cancelled; those that ended meanwhile are left as they are."""
        cause = Cause(f"run:{run_id}", "the parent was cancelled")
        children = await self._store.fetch(LIVE_CHILDREN, run_id=run_id)
        answers = await self._commit.apply_all([Stop(child, "cancel", cause) for (child,) in children])
        for answer in answers:
            if isinstance(answer, Error) and not isinstance(answer, InvalidTransition | NotFound):
                raise answer
