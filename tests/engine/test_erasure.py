"""An erased run has no data anywhere, keeps its chain, and is marked only when all of it is gone."""

import json

import msgspec
import pytest

from runwright.domain import outcome as o
from runwright.domain.commands import Append
from runwright.domain.erasure import receipt
from runwright.domain.tenancy import Actor
from runwright.errors import Conflict, Gone, MissingScope, NotFound
from tests.engine.world import ADMIN, World, failed

NEEDLE = "needle-in-the-hay"


async def written(world: World) -> str:
    """Make an organization, and a run that has a text of a user's in every place that holds one."""
    world.database.change("INSERT INTO organizations VALUES ('org_1', 'o', 'O', 0) ON CONFLICT DO NOTHING")
    job = world.job(max_attempts=2, retry_initial_delay_secs=0)
    run_id = await world.submit(
        job,
        payload={"say": NEEDLE},
        tags={"t": NEEDLE},
        metadata={"m": NEEDLE, "dependency_key": NEEDLE},
        concurrency_key=NEEDLE,
    )
    run = (await world.take())[0]
    await world.finish(run, failed("ValueError", NEEDLE))
    await world.past(1)
    run = (await world.take())[0]
    small, _ = await world.engine.values.pack("proj_1", run_id, "output", "small", {"say": NEEDLE})
    large, _ = await world.engine.values.pack("proj_1", run_id, "checkpoint", "1", {"say": NEEDLE * 99_999})
    await world.engine.commit.apply(Append(run_id, run.lease_epoch, (), (small, large)))
    await world.finish(run, failed("ValueError", NEEDLE))
    return run_id


def places(world: World) -> list[str]:
    """Return where the needle, or what is sealed, can be found in the database and beside it."""
    found = []
    for table in world.database.tables():
        found += [table for row in world.rows(f"SELECT * FROM {table}") if NEEDLE in str(row)]
    sealed = world.rows("SELECT 1 FROM runs WHERE payload IS NOT NULL OR result IS NOT NULL")
    files = [path for path in (world.directory / "artifacts").rglob("*") if path.is_file()]
    return [*found, *("sealed" for _ in sealed), *(path.name for path in files)]


async def test_no_text_of_the_run_is_left(open_world):
    world = await open_world()
    run_id = await written(world)
    assert {"runs", "run_events", "attempts", "sealed"} <= set(places(world))
    record = await world.engine.operations.eraser.erase(world.reader(), ADMIN, run_id)
    assert places(world) == []
    assert world.rows("SELECT 1 FROM run_values") == []
    assert (record.erased_at, record.run.state, record.payload) == (world.clock.now(), "failed", None)
    assert (record.run.spec.tags, record.run.error, record.run.error_class) == ({}, None, "ValueError")
    await world.check()


@pytest.mark.parametrize("kind", ["debounce", "batch"])
async def test_the_key_under_which_triggers_gathered_goes_too(open_world, kind: str):
    world = await open_world()
    terms = {"debounce": {"window_secs": 5, "max_wait_secs": 12}, "batch": {"window_secs": 5, "max_size": 2}}[kind]
    job = world.job(**{kind: terms})
    (run_id, joined) = [await world.submit(job, **{f"{kind}_key": NEEDLE}) for _ in range(2)]
    assert run_id == joined
    await world.past(5)
    await world.finish((await world.take())[0], o.Completed())
    assert places(world)
    record = await world.engine.operations.eraser.erase(world.reader(), ADMIN, run_id)
    assert places(world) == []
    assert record.run.spec.gather is not None
    assert (record.run.spec.gather.kind, record.run.spec.gather.key) == (kind, "")
    await world.check()


async def test_the_chain_and_the_audit_log_bind_what_is_left(open_world):
    world = await open_world(erase_batch=2)
    run_id = await written(world)
    before = await world.run(run_id)
    root = world.rows("SELECT opening FROM runs")[0][0]
    await world.engine.operations.eraser.erase(world.reader(), ADMIN, run_id)
    opening, genesis = world.rows("SELECT opening, genesis FROM runs")[0]
    action, target, data = world.rows("SELECT action, target, data FROM audit")[-1]
    assert (action, target) == ("run.erased", run_id)
    assert json.loads(data) == msgspec.structs.asdict(receipt(before.seq, before.hash, genesis, opening))
    assert NEEDLE.encode() in root
    await world.check()
    for column, value in (("level", "error"), ("message", "x"), ("lease_epoch", 7), ("created_at", 1), ("actor", "x")):
        kept = world.rows(f"SELECT {column} FROM run_events WHERE seq = 2")[0][0]
        world.database.change(f"UPDATE run_events SET {column} = ? WHERE seq = 2", value)
        with pytest.raises(AssertionError):
            await world.check()
        world.database.change(f"UPDATE run_events SET {column} = ? WHERE seq = 2", kept)
    await world.check()


async def test_erasing_twice_changes_nothing_and_is_told_once(open_world):
    world = await open_world()
    run_id = await written(world)
    first = await world.engine.operations.eraser.erase(world.reader(), ADMIN, run_id)
    world.clock.advance(5)
    assert await world.engine.operations.eraser.erase(world.reader(), ADMIN, run_id) == first
    assert world.rows("SELECT count(*) FROM audit") == [(1,)]


async def test_an_erasure_that_was_cut_off_goes_on_when_it_is_asked_for_again(open_world):
    world = await open_world(erase_batch=2)
    run_id = await written(world)
    assert await world.engine.operations.eraser._events(run_id, 0) == 2
    await world.crash()
    again = await open_world()
    record = await again.record(run_id)
    assert record.erased_at is None
    events = await again.events(run_id)
    assert [event.data is None for event in events[:3]] == [True, True, False]
    await again.engine.operations.eraser.erase(again.reader(), ADMIN, run_id)
    assert places(again) == []
    await again.check()


async def test_a_run_that_has_not_ended_is_not_erased(open_world):
    world = await open_world()
    run_id = await world.submit(world.job())
    with pytest.raises(Conflict) as refused:
        await world.engine.operations.eraser.erase(world.reader(), ADMIN, run_id)
    assert refused.value.code == "runs.not_ended"
    assert (await world.record(run_id)).erased_at is None


async def test_a_run_of_others_is_not_there_and_the_scope_is_needed(open_world):
    world = await open_world()
    run_id = await written(world)
    other = Actor(kind="user", id="user_2", org_id="org_2", scopes=frozenset({"admin"}))
    with pytest.raises(NotFound):
        await world.engine.operations.eraser.erase(world.reader(other), other, run_id)
    lacking = Actor(kind="user", id="user_2", org_id="org_1", scopes=frozenset({"runs:write"}))
    with pytest.raises(MissingScope):
        await world.engine.operations.eraser.erase(world.reader(lacking), lacking, run_id)


async def test_what_needs_the_data_says_that_they_are_gone(open_world):
    world = await open_world()
    run_id = await written(world)
    record = await world.engine.operations.eraser.erase(world.reader(), ADMIN, run_id)
    with pytest.raises(Gone):
        await world.reader().values(record, "output")
    with pytest.raises(Gone):
        world.reader().exact_payload(record)


async def test_other_runs_keep_theirs(open_world):
    world = await open_world()
    run_id, other = await written(world), await world.submit(world.job("other"), payload={"a": 1})
    await world.finish((await world.take())[0], o.Completed())
    await world.engine.operations.eraser.erase(world.reader(), ADMIN, run_id)
    record = await world.record(other)
    assert world.reader().payload(record) == {"a": 1}
    await world.check()
