"""Runs and their children: what the end of one does to the others."""

from __future__ import annotations

from runwright.domain.commands import Stop
from runwright.domain.tenancy import Cause
from runwright.engine.commit import Commit
from runwright.errors import Error, InvalidTransition, NotFound
from runwright.store.base import Store
from runwright.store.queries.runs import LIVE_CHILDREN


class Children:
    """The errands between parents and children."""

    def __init__(self, store: Store, commit: Commit) -> None:
        self._store = store
        self._commit = commit

    async def cancel(self, run_id: str, body: bytes) -> None:
        """Cancel the live children of a run that was cancelled; those that ended meanwhile are left as they are."""
        cause = Cause(f"run:{run_id}", "the parent was cancelled")
        children = await self._store.fetch(LIVE_CHILDREN, run_id=run_id)
        answers = await self._commit.apply_all([Stop(child, "cancel", cause) for (child,) in children])
        for answer in answers:
            if isinstance(answer, Error) and not isinstance(answer, InvalidTransition | NotFound):
                raise answer
