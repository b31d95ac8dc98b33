"""What models used, added up: by day, model, user and what else calls belong to, on both databases."""

from typing import Any

import pytest

from runwright import ids
from runwright.agents.usage import UsageOrder, UsageSum
from runwright.domain import outcome as o
from runwright.domain.accounts import Project
from runwright.domain.events import Draft
from runwright.domain.instants import DAY_US
from runwright.domain.redaction import compose
from runwright.domain.tenancy import Actor
from runwright.store.queries.usage import By
from tests.engine.talking import Talk
from tests.engine.test_budgets import begun
from tests.engine.world import ADMIN, PROJECT, World

VIEWER = Actor(kind="service", id="s", org_id="org_1", project_id="proj_2", scopes=frozenset({"usage:read"}))
OTHER = Actor(kind="user", id="user_2", org_id="org_2", scopes=frozenset({"admin"}))


def used(world: World, tokens: tuple[int, int, int] = (100, 40, 10), cost: int | None = 7, **more: Any) -> Draft:
    """Return the record of what a call used, under an id of its own."""
    data = {"llm_call_id": ids.new_id("llm", world.clock.now()), "provider": "openai", "model": "big"}
    counts = dict(zip(("input_tokens", "cached_tokens", "output_tokens"), tokens, strict=True))
    return Draft("usage.recorded", compose({**data, **counts, "cost_microusd": cost, "estimated": False, **more}))


async def reported(
    talk: Talk, by: By, actor: Actor = ADMIN, project: Project | None = None, **more: Any
) -> list[UsageSum]:
    where = more.pop("where", {})
    asked = UsageOrder(**{"by": by, "since": 0, "until": 2**60, "where": where, **more})
    return await talk.agents.usage.report(actor, project, asked)


@pytest.fixture
async def told(world: World) -> Talk:
    return await tell(world)


async def tell(world: World) -> Talk:
    """Let two runs use two models on two days."""
    talk = Talk(world)
    world.clock.advance(DAY_US / 1e6 - world.clock.now() % DAY_US / 1e6)
    first = await begun(talk)
    await world.finish(first, o.Completed(), drafts=(used(world), used(world, (50, 0, 5), 3, estimated=True)))
    world.clock.advance(DAY_US / 1e6)
    second = await begun(talk)
    small = used(world, (10, 0, 1), None, model="small")
    await world.finish(second, o.Completed(), drafts=(used(world, cost=20), small))
    return talk


async def test_days_are_those_of_utc_and_add_up_calls_runs_tokens_and_cost(told: Talk):
    now = told.world.clock.now()
    today, before = await reported(told, "day", newest_first=True)
    assert (today.key, before.key) == (now - now % DAY_US, now - now % DAY_US - DAY_US)
    assert before == UsageSum(before.key, 2, 1, 150, 40, 15, 10, 0, 1)
    assert (before.cache_hit_rate, before.credits_used) == (0.2667, 1)
    assert today == UsageSum(today.key, 2, 1, 110, 40, 11, 20, 1, 0)
    assert [row.key for row in await reported(told, "day")] == [before.key, today.key]
    assert await reported(told, "day", since=int(today.key)) == [today]
    assert await reported(told, "day", until=int(today.key)) == [before]


async def test_a_price_that_nobody_knows_is_not_zero(told: Talk):
    big, small = await reported(told, "model")
    assert (big.key, big.cost_microusd, big.unpriced) == ("openai/big", 30, 0)
    assert (small.key, small.cost_microusd, small.unpriced, small.credits_used) == ("openai/small", None, 1, None)
    (total,) = await reported(told, "total")
    assert (total.calls, total.runs, total.cost_microusd, total.unpriced) == (4, 2, 30, 1)


async def test_nothing_used_costs_nothing(world: World):
    talk = Talk(world)
    assert await reported(talk, "total") == [UsageSum("", 0, 0, 0, 0, 0, 0, 0, 0)]
    assert await reported(talk, "model") == []


@pytest.mark.parametrize(
    ("by", "keys"), [("user", ["user_1"]), ("persona", ["default@1"]), ("project", [PROJECT.project_id])]
)
async def test_calls_belong_to_who_asked_as_whom_and_where(told: Talk, by: By, keys: list[str]):
    assert [row.key for row in await reported(told, by)] == keys
    named = {"user": "user_id", "persona": "persona_id", "project": "project_id"}[by]
    assert (await reported(told, "total", where={named: keys[0]}))[0].calls == 4
    assert (await reported(told, "total", where={named: "other"}))[0].calls == 0


async def test_a_page_begins_beyond_a_key_in_either_order(told: Talk):
    threads = [str(row.key) for row in await reported(told, "thread")]
    assert len(threads) == 2
    assert [row.key for row in await reported(told, "thread", limit=1)] == threads[:1]
    assert [row.key for row in await reported(told, "thread", bound=threads[0])] == threads[1:]
    assert [row.key for row in await reported(told, "thread", bound=threads[1], newest_first=True)] == threads[:1]
    days = [row.key for row in await reported(told, "day")]
    assert [row.key for row in await reported(told, "day", bound=days[0])] == days[1:]


async def test_who_is_bound_to_a_project_or_of_another_organization_sees_its_own(told: Talk):
    assert (await reported(told, "total", VIEWER))[0].calls == 0
    assert (await reported(told, "total", OTHER))[0].calls == 0
    assert (await reported(told, "total", ADMIN, PROJECT))[0].calls == 4


async def test_usage_stays_when_retention_takes_the_run(open_world):
    world = await open_world(retention_days=7)
    told = await tell(world)
    world.clock.advance(8 * 86_400)
    await world.round_of(world.engine.pruner.loop)
    assert world.rows("SELECT count(*) FROM run_events") == [(0,)]
    assert (await reported(told, "total"))[0].calls == 4
    await world.check()
