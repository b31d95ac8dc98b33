"""Budgets that several runs spend from: a thread's, a project's, and a project's for each day (UTC).

Before a call of a model the most that it can cost is reserved, then the call is settled at what it did cost, and what
was not needed is free again. Settled and reserved together never pass the limit, at any instant, as long as a provider
keeps to the output that it was allowed. A budget counts the calls that began after it was set.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from runwright.domain.agent_events import BudgetReached
from runwright.domain.instants import DAY_US

Scope = Literal["thread", "project", "day"]
Limit = Annotated[int, Meta(ge=1, le=10**15, description="Millionths of a US dollar.")]


class SharedBudget(msgspec.Struct, frozen=True, kw_only=True):
    """A budget as it stands. One for each day knows the day that it was last spent from (`window_at`, its first µs).

    What is reserved belongs to no day: a call counts on the day on which it is settled.
    """

    budget_key: str
    budget_id: str
    org_id: str
    project_id: str
    scope: Scope
    thread_id: str | None
    limit_microusd: int
    settled_microusd: int = 0
    reserved_microusd: int = 0
    window_at: int | None = None
    created_at: int
    created_by: str
    updated_at: int

    def at(self, now: int) -> SharedBudget:
        """Return the budget at an instant: on another day than it was spent from, nothing is settled."""
        today = day_of(now)
        if self.window_at is None or self.window_at >= today:
            return self  # a clock that went back gives nobody his money back
        return replace(self, settled_microusd=0, window_at=today)

    @property
    def left_microusd(self) -> int:
        """Return what is free to be reserved; nothing, where the limit was lowered beneath what is spent."""
        return max(self.limit_microusd - self.settled_microusd - self.reserved_microusd, 0)

    @property
    def resets_at(self) -> int | None:
        """Return when a budget for each day begins anew."""
        return None if self.window_at is None else self.window_at + DAY_US

    def fits(self, microusd: int) -> bool:
        """Tell whether so much is left to be reserved."""
        return microusd <= self.left_microusd

    def reserve(self, microusd: int) -> SharedBudget:
        """Return the budget with so much reserved; whether it fits is for the caller to see before."""
        return replace(self, reserved_microusd=self.reserved_microusd + microusd)

    def settle(self, reserved: int, microusd: int) -> SharedBudget:
        """Return the budget with a reservation gone and what the call did cost in its place."""
        return replace(
            self,
            settled_microusd=self.settled_microusd + microusd,
            reserved_microusd=self.reserved_microusd - reserved,
        )

    def reached(self) -> BudgetReached:
        """Return how far the budget is used."""
        return BudgetReached(
            scope=self.scope, limit_name="cost_microusd", used=self.settled_microusd, limit=self.limit_microusd
        )


class Reservation(msgspec.Struct, frozen=True):
    """What a call of a model, not settled yet, holds of a budget."""

    run_id: str
    llm_call_id: str
    budget_key: str
    org_id: str
    amount_microusd: int


def day_of(now: int) -> int:
    """Return the first µs of the day (UTC) of an instant."""
    return now - now % DAY_US


def key_of(scope: Scope, project_id: str, thread_id: str | None = None) -> str:
    """Return the key of a budget: keys sort by project, so whoever locks some in their order locks them as all do."""
    return f"{project_id}/thread/{thread_id}" if scope == "thread" else f"{project_id}/{scope}"


def keys_of(project_id: str, thread_id: str) -> tuple[str, str, str]:
    """Return the keys of the budgets that a run of a thread spends from, in their order."""
    return key_of("day", project_id), key_of("project", project_id), key_of("thread", project_id, thread_id)
