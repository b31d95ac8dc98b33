"""What calls of models reserve, use and cost: written within the transaction of the commit whose events say so.

A budget that runs share is locked before the runs are, in the order of keys, and kept up to date while the requests of
the transaction are answered: two calls that begin at once see each other, in one process or in several. Each call is
settled by its `usage.recorded`, which the end of its run brings at the latest, so nothing stays reserved for nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from runwright.domain import agent_events as a
from runwright.domain import commands as c
from runwright.domain.events import Event
from runwright.domain.run import Spec
from runwright.domain.shared_budget import Reservation, SharedBudget, keys_of
from runwright.engine.batch import Batch
from runwright.errors import Overtaken
from runwright.store.base import Transaction
from runwright.store.queries import budgets as q
from runwright.store.queries.usage import INSERT_USAGE

_request = msgspec.json.Decoder(a.ModelRequested).decode
_used = msgspec.json.Decoder(a.UsageRecorded).decode
_MONEY = frozenset({"llm.request", "usage.recorded"})


def spends(append: c.Append) -> bool:
    """Tell whether an append begins a call of a model, or settles one."""
    return any(draft.type in _MONEY for draft in append.drafts)


class Till:
    """The budgets and calls that the agent runs of a transaction are about; what changes is written by `settle`."""

    def __init__(self) -> None:
        self._specs: dict[str, Spec] = {}
        self._budgets: dict[str, SharedBudget] = {}
        self._before: dict[str, SharedBudget] = {}
        self._held: dict[tuple[str, str, str], Reservation] = {}
        self._held_before: frozenset[tuple[str, str, str]] = frozenset()
        self._seen: dict[str, int] = {}
        self._records: list[dict[str, Any]] = []

    @property
    def open(self) -> bool:
        """Tell whether runs of agents are concerned at all."""
        return bool(self._specs)

    async def look(self, tx: Transaction, specs: Iterable[Spec]) -> None:
        """Lock the budgets that these runs spend from, and see what is reserved for them."""
        self._specs = {spec.run_id: spec for spec in specs if spec.speaks is not None}
        terms = ((spec.project_id, spec.speaks) for spec in self._specs.values())
        threads = {(project_id, each.thread_id) for project_id, each in terms if each is not None}
        for project_id, thread_id in sorted(threads):
            day, project, thread = keys_of(project_id, thread_id)
            for row in await tx.fetch(q.LOCKED, day=day, project=project, thread=thread):
                budget = q.budget(row)
                self._before[budget.budget_key] = budget
                self._budgets[budget.budget_key] = budget.at(tx.now)
        for run_id in sorted(self._specs) if self._budgets else ():
            for row in await tx.fetch(q.RESERVED, run_id=run_id):
                held = Reservation(*row)
                self._held[held.run_id, held.llm_call_id, held.budget_key] = held
        self._held_before = frozenset(self._held)

    def require(self, command: c.Command) -> None:
        """Raise `Overtaken` for a call of a model that its run's budgets no longer have room for: look again."""
        spec = self._specs.get(command.run_id)
        if spec is None or not isinstance(command, c.Append):
            return
        for draft in command.drafts:
            if draft.type != "llm.request":
                continue
            microusd = _request(draft.data).reserved_microusd
            if any(microusd is None or not budget.fits(microusd) for budget in self._spent_from(spec)):
                raise Overtaken("other runs spent from the budget meanwhile; see what is left of it, and ask again")

    def _spent_from(self, spec: Spec) -> list[SharedBudget]:
        terms = spec.speaks
        assert terms is not None
        keys = keys_of(spec.project_id, terms.thread_id)
        return [self._budgets[key] for key in keys if key in self._budgets]

    def follow(self, batch: Batch, run_id: str) -> None:
        """Reserve and settle as the new events of a run say."""
        spec = self._specs.get(run_id)
        if spec is None:
            return
        events = batch.events.get(run_id, ())
        for event in events[self._seen.get(run_id, 0) :]:
            if event.type == "llm.request":
                self._reserve(spec, _request(event.data or b""))
            elif event.type == "usage.recorded":
                self._settle(spec, event, _used(event.data or b""))
        self._seen[run_id] = len(events)

    def _reserve(self, spec: Spec, call: a.ModelRequested) -> None:
        amount = call.reserved_microusd or 0
        for budget in self._spent_from(spec):
            self._budgets[budget.budget_key] = budget.reserve(amount)
            held = Reservation(spec.run_id, call.llm_call_id, budget.budget_key, spec.org_id, amount)
            self._held[held.run_id, held.llm_call_id, held.budget_key] = held

    def _settle(self, spec: Spec, event: Event, used: a.UsageRecorded) -> None:
        for held in [each for each in self._held.values() if each.llm_call_id == used.llm_call_id]:
            self._give_back(held, held.amount_microusd if used.cost_microusd is None else used.cost_microusd)
        self._records.append(_record(spec, event, used))

    def _give_back(self, held: Reservation, cost_microusd: int) -> None:
        del self._held[held.run_id, held.llm_call_id, held.budget_key]
        budget = self._budgets.get(held.budget_key)
        if budget is not None:
            self._budgets[held.budget_key] = budget.settle(held.amount_microusd, cost_microusd)

    async def settle(self, tx: Transaction, batch: Batch) -> None:
        """Write what was reserved, settled and used."""
        for run_id in self._specs:
            self.follow(batch, run_id)
        for record in self._records:
            await tx.fetch(INSERT_USAGE, **record)
        for gone in sorted(self._held_before.difference(self._held)):
            await tx.fetch(q.DELETE_RESERVATION, **dict(zip(_HELD_BY, gone, strict=True)))
        for new in sorted(self._held.keys() - self._held_before):
            await tx.fetch(q.INSERT_RESERVATION, **msgspec.structs.asdict(self._held[new]))
        for key, budget in sorted(self._budgets.items()):
            was = self._before[key]
            if budget != was:
                moved = {"settled_microusd": budget.settled_microusd, "reserved_microusd": budget.reserved_microusd}
                await tx.fetch(q.SPEND, row=key, **moved, window_at=budget.window_at)


_HELD_BY = ("run_id", "llm_call_id", "budget_key")


def _record(spec: Spec, event: Event, used: a.UsageRecorded) -> dict[str, Any]:
    terms = spec.speaks
    assert terms is not None
    return {
        "run_id": spec.run_id,
        "llm_call_id": used.llm_call_id,
        "org_id": spec.org_id,
        "project_id": spec.project_id,
        "thread_id": terms.thread_id,
        "persona_id": terms.persona_id,
        "route_id": terms.route_id,
        "provider": used.provider,
        "model": used.model,
        "user_id": spec.created_by_user_id,
        "created_by": spec.created_by,
        "trace_id": spec.trace_id,
        "input_tokens": used.input_tokens,
        "cached_tokens": used.cached_tokens,
        "output_tokens": used.output_tokens,
        "cost_microusd": used.cost_microusd,
        "estimated": int(used.estimated),
        "recorded_at": event.created_at,
    }
