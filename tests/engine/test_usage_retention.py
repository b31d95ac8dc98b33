"""Records of what models used go with time, by whole days, after their runs; budgets and totals stay as they are."""

from pathlib import Path

import pytest

from runwright import config
from runwright.clock import FrozenClock
from runwright.domain.instants import DAY_US
from runwright.errors import InvalidSettings
from runwright.store.inspection import inspect
from tests.engine.acting import acting
from tests.engine.databases import Database
from tests.engine.test_agent_loop import SCRIPTS, ended
from tests.engine.world import ADMIN, PROJECT, settled

DAY_S = DAY_US // 1_000_000
AUDITED = "SELECT target, data FROM audit WHERE action = 'usage.forgotten'"


async def test_old_records_go_and_the_totals_and_budgets_of_their_runs_stay(database: Database, tmp_path: Path):
    act = await acting(tmp_path / "data", FrozenClock(), database, SCRIPTS, usage_retention_days=31)
    world = act.world
    try:
        world.engine.start()
        await act.agents.budgets.set(ADMIN, PROJECT, "project", None, 10_000_000)
        old = await act.start(await act.thread_for("echo"), "Good morning")
        spent = (await ended(act, old.run_id)).usage
        waiting = await act.start(await act.thread(persona_id="teller"), "Good morning")
        await ended(act, waiting.run_id)
        budget = await act.agents.budgets.find(ADMIN, PROJECT.project_id, "project", None, world.clock.now())
        world.clock.advance(31 * DAY_S - 1)
        await settled(world)
        await world.round_of(world.engine.pruner.loop)
        assert len(world.rows("SELECT run_id FROM usage_records")) == 2, "so long a report reaches back"
        world.clock.advance(DAY_S + 1)
        young = await act.start(await act.thread(persona_id="teller"), "Good morning")
        await ended(act, young.run_id)
        await world.round_of(world.engine.pruner.loop)
        assert [tuple(row) for row in world.rows("SELECT run_id FROM usage_records")] == [(young.run_id,)]
        assert (await world.run(old.run_id)).usage == spent
        after = await act.agents.budgets.find(ADMIN, PROJECT.project_id, "project", None, world.clock.now())
        assert after.settled_microusd == budget.settled_microusd + spent.cost_microusd
        assert len(world.rows(AUDITED)) == 1, "once for each day"
        assert await inspect(world.store, world.artifacts, 3, lambda *_: None, None) == []
        world.database.change("DELETE FROM usage_records")
        found = await inspect(world.store, world.artifacts, 3, lambda *_: None, None)
        assert [(each.where, each.what) for each in found] == [("usage", young.run_id)], "no retention took these"
    finally:
        await world.crash()
        await act.close()


async def test_without_a_setting_records_stay(database: Database, tmp_path: Path):
    act = await acting(tmp_path / "data", FrozenClock(), database, SCRIPTS)
    try:
        act.world.engine.start()
        made = await act.start(await act.thread_for("echo"), "Good morning")
        await ended(act, made.run_id)
        act.world.clock.advance(10_000 * DAY_S)
        await settled(act.world)
        await act.world.round_of(act.world.engine.pruner.loop)
        assert len(act.world.rows("SELECT run_id FROM usage_records")) == 1
    finally:
        await act.world.crash()
        await act.close()


def test_less_than_reports_reach_back_is_refused():
    with pytest.raises(InvalidSettings, match="at least 31"):
        config.load({}, overrides={"usage_retention_days": 30.0})
