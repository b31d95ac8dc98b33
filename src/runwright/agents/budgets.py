"""The verbs of budgets that runs share: set one, find one, list them, remove one; and those that a run spends from."""

from __future__ import annotations

from msgspec.structs import replace

from runwright import ids
from runwright.agents.owned import required
from runwright.domain.accounts import Project
from runwright.domain.run import Spec
from runwright.domain.shared_budget import Scope, SharedBudget, day_of, key_of, keys_of
from runwright.domain.tenancy import Actor
from runwright.domain.thread import Thread
from runwright.engine.floor import name_of
from runwright.errors import NotFound
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.queries import budgets as q
from runwright.store.queries.shapes import Slice, read
from runwright.store.queries.threads import THREAD


class Budgets:
    """Set and find the budgets of threads and projects."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def set(
        self, actor: Actor, project: Project, scope: Scope, thread: Thread | None, limit_microusd: int
    ) -> SharedBudget:
        """Set a budget's limit, and return it as it stands; a new one counts the calls that begin from now on.

        Raises `NotFound` for a thread that was deleted meanwhile.
        """
        thread_id = None if thread is None else thread.thread_id
        key = key_of(scope, project.project_id, thread_id)

        async def work(tx: Transaction) -> SharedBudget:
            await audit.lock(tx, project.org_id)
            if thread_id is not None:
                await tx.meet([name_of(thread_id)])
                if not await tx.fetch(THREAD, thread_id=thread_id):
                    raise NotFound("thread", thread_id)
            rows = await tx.fetch(q.BUDGET_LOCKED, budget_key=key)
            if rows:
                made = replace(q.budget(rows[0]), limit_microusd=limit_microusd, updated_at=tx.now)
                await tx.fetch(q.SET_LIMIT, row=key, limit_microusd=limit_microusd, updated_at=tx.now)
            else:
                made = SharedBudget(
                    budget_key=key,
                    budget_id=ids.new_id("bud", tx.now),
                    org_id=project.org_id,
                    project_id=project.project_id,
                    scope=scope,
                    thread_id=thread_id,
                    limit_microusd=limit_microusd,
                    window_at=day_of(tx.now) if scope == "day" else None,
                    created_at=tx.now,
                    created_by=actor.label,
                    updated_at=tx.now,
                )
                await tx.fetch(q.INSERT_BUDGET, **q.row(made))
            data = {"scope": scope, "limit_microusd": limit_microusd}
            await audit.append(tx, project.org_id, actor.label, "budget.set", made.budget_id, data)
            return made.at(tx.now)

        return await self._store.write(work)

    async def find(self, actor: Actor, project_id: str, scope: Scope, thread_id: str | None, now: int) -> SharedBudget:
        """Return a budget as it stands. Raises `NotFound` where none is set."""
        key = key_of(scope, project_id, thread_id)
        rows = await self._store.within(actor.org_id).fetch(q.BUDGET, budget_key=key)
        return required(actor, q.budget(rows[0]) if rows else None, "budget", thread_id or scope).at(now)

    async def page(self, actor: Actor, project: Project | None, part: Slice, now: int) -> list[SharedBudget]:
        """Return the budgets of a project, or all that the caller may see."""
        project_id = project.project_id if project is not None else actor.project_id
        own = self._store.within(actor.org_id)
        if project_id is not None:
            rows = await read(own, q.BUDGETS_OF_PROJECT, part, project_id=project_id)
        else:
            rows = await read(own, q.BUDGETS, part, org_id=actor.org_id)
        return [q.budget(row).at(now) for row in rows]

    async def remove(self, actor: Actor, found: SharedBudget) -> None:
        """Remove a budget: calls that begin from now on reserve nothing of it, and those under way settle nothing."""
        key = found.budget_key

        async def work(tx: Transaction) -> None:
            await audit.lock(tx, found.org_id)
            if not await tx.fetch(q.BUDGET_LOCKED, budget_key=key):
                raise NotFound("budget", found.thread_id or found.scope)
            await tx.fetch(q.DELETE_RESERVATIONS, budget_key=key)
            await tx.fetch(q.DELETE_BUDGET, budget_key=key)
            await audit.append(tx, found.org_id, actor.label, "budget.removed", found.budget_id, {})

        await self._store.write(work)

    async def of_run(self, spec: Spec, now: int) -> list[SharedBudget]:
        """Return the budgets that a run spends from, as they stand."""
        terms = spec.speaks
        if terms is None:
            return []
        day, project, thread = keys_of(spec.project_id, terms.thread_id)
        rows = await self._store.fetch(q.SPENT_FROM, day=day, project=project, thread=thread)
        return [q.budget(row).at(now) for row in rows]
