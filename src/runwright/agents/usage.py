"""The verbs of usage: what calls of models used and cost, added up by day, model, user and what else they belong to."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from runwright.domain.accounts import Project
from runwright.domain.model_call import Usage
from runwright.domain.price import cache_hit_rate, credits_used
from runwright.domain.tenancy import Actor
from runwright.store.base import Store
from runwright.store.queries.usage import By, report


class UsageOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What to add up, from one instant (µs) until another (itself excluded); `where` narrows it by equal values.

    Rows come in the order of their keys, those beyond `bound` (itself excluded).
    """

    by: By
    since: int
    until: int
    where: Mapping[str, str]
    bound: str | int | None = None
    newest_first: bool = False
    limit: int = 50


class UsageSum(msgspec.Struct, frozen=True):
    """What the calls of one key used. A cost of None is of calls whose price nobody knows.

    Where only some are `unpriced`, the cost is that of the others.
    """

    key: str | int
    calls: int
    runs: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_microusd: int | None
    unpriced: int
    estimated: int

    @property
    def cache_hit_rate(self) -> float | None:
        """Return the share of prompt tokens that were cached; None without any."""
        return cache_hit_rate(
            Usage(input_tokens=self.input_tokens, cached_tokens=self.cached_tokens, output_tokens=self.output_tokens)
        )

    @property
    def credits_used(self) -> int | None:
        """Return the credits of the whole cost, rounded up once; None for a cost that nobody knows."""
        return credits_used(self.cost_microusd)


class UsageReports:
    """Reads what was used."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def report(self, actor: Actor, project: Project | None, order: UsageOrder) -> list[UsageSum]:
        """Return sums of a project's calls, or of all that the caller may see."""
        project_id = project.project_id if project is not None else actor.project_id
        where = {**order.where, **({} if project_id is None else {"project_id": project_id})}
        beyond = {} if order.bound is None else {"bound": order.bound}
        query = report(order.by, frozenset(where), beyond=bool(beyond), newest_first=order.newest_first)
        rows = await self._store.within(actor.org_id).fetch(
            query, org_id=actor.org_id, since=order.since, until=order.until, limit=order.limit, **where, **beyond
        )
        return [_sum(*row) for row in rows]


def _sum(key: str | int, calls: int, runs: int, *sums: int | None) -> UsageSum:
    input_tokens, cached_tokens, output_tokens, cost, unpriced, estimated = sums
    return UsageSum(
        key,
        calls,
        runs,
        input_tokens or 0,
        cached_tokens or 0,
        output_tokens or 0,
        cost if calls else 0,  # what nobody asked for costs nothing
        unpriced or 0,
        estimated or 0,
    )
