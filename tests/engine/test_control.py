"""Cancel, pause, resume and replay: what a caller is told, and what becomes of the children."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.domain import outcome as o
from runwright.domain.tenancy import Actor
from runwright.engine.replays import Replay, merge_patch, new_payload, replay_order
from runwright.errors import Conflict, InvalidRequest, InvalidTransition, NotFound, StaleLease
from tests.engine.world import ADMIN, PROJECT, World, settled
from tests.waiting import until

STRANGER = Actor(kind="user", id="user_9", org_id="org_9", scopes=frozenset({"admin"}))


async def stop(world: World, run_id: str, kind="cancel", actor: Actor = ADMIN):
    control = world.engine.control
    return await control.stop(world.reader(actor), actor, run_id, kind, reason="enough", request_id="req_9")


async def resume(world: World, run_id: str, actor: Actor = ADMIN):
    return await world.engine.control.resume(world.reader(actor), actor, run_id, request_id="req_9")


async def executing(world: World, **order):
    run_id = await world.submit(world.job(), **order)
    return (await world.take())[0], run_id


# --- stop and resume --------------------------------------------------------------------------------------------------


async def test_a_stop_of_a_waiting_run_answers_at_once_with_its_cause_in_the_log(world: World):
    run_id = await world.submit(world.job())
    record = await stop(world, run_id)
    assert record.run.state == "cancelled"
    assert await world.data(run_id, "run.cancelled") == {"reason": "user", "note": "enough", "request_id": "req_9"}
    assert [event.actor for event in await world.events(run_id)][-1] == ADMIN.label


async def test_a_stop_of_an_executing_run_answers_when_it_was_confirmed(world: World):
    run, run_id = await executing(world)
    stopping = asyncio.create_task(stop(world, run_id))
    await until(lambda: world.clock.sleepers)
    assert not stopping.done()
    await world.finish(run, o.Stopped())
    assert (await stopping).run.state == "cancelled"


async def test_a_stop_that_nobody_confirms_answers_after_two_seconds(world: World):
    _, run_id = await executing(world)
    stopping = asyncio.create_task(stop(world, run_id))
    await until(lambda: world.clock.sleepers)
    world.clock.advance(2)
    record = await stopping
    assert (record.run.state, record.run.stop) == ("executing", "cancel")


async def test_an_ended_run_cannot_be_stopped_or_resumed(world: World):
    run_id = await world.submit(world.job())
    await stop(world, run_id)
    for verb in (stop, resume):
        with pytest.raises(InvalidTransition):
            await verb(world, run_id)


async def test_pause_and_resume_may_be_asked_for_twice(world: World):
    run_id = await world.submit(world.job())
    for _ in range(2):
        assert (await stop(world, run_id, "pause")).run.state == "paused"
    for _ in range(2):
        assert (await resume(world, run_id)).run.state == "queued"
    assert await world.types(run_id) == ["run.created", "run.paused", "run.resumed"]


async def test_a_run_whose_pause_is_not_confirmed_cannot_be_resumed_yet(world: World):
    _, run_id = await executing(world)
    await world.stop(run_id, "pause")
    with pytest.raises(InvalidTransition):
        await resume(world, run_id)


async def test_runs_of_others_do_not_exist_for_a_stranger(world: World):
    run_id = await world.submit(world.job())
    for verb in (stop, resume):
        with pytest.raises(NotFound):
            await verb(world, run_id, actor=STRANGER)
    assert await world.state(run_id) == "queued"


# --- restart ----------------------------------------------------------------------------------------------------------


async def restart(world: World, run_id: str, preset: str | None = None, actor: Actor = ADMIN):
    return await world.engine.control.restart(world.reader(actor), actor, run_id, preset, request_id="req_9")


async def test_a_restart_answers_when_it_was_confirmed_and_the_late_word_of_the_old_attempt_counts_for_nothing(
    world: World,
):
    run, run_id = await executing(world)
    restarting = asyncio.create_task(restart(world, run_id))
    await until(lambda: world.clock.sleepers)
    assert (await world.run(run_id)).stop == "restart"
    await world.finish(run, o.Stopped())
    assert (await restarting).run.state == "queued"
    [again] = await world.take()
    assert (again.attempt, again.lease_epoch) == (2, 2)
    with pytest.raises(StaleLease):
        await world.finish(run, o.Completed())
    await world.finish(again, o.Completed())
    assert (await world.types(run_id)).count("run.completed") == 1
    attempts = world.rows("SELECT attempt, outcome FROM attempts ORDER BY lease_epoch")
    assert [tuple(row) for row in attempts] == [(1, "restarted"), (2, "completed")]


async def test_a_restarted_run_waits_for_its_slot_like_others(world: World):
    job = world.job(max_concurrency=1)
    run_id, other = [await world.submit(job) for _ in range(2)]
    [run] = await world.take(2)
    await world.stop(run_id, "pause")
    await world.finish(run, o.Stopped())
    assert (await restart(world, run_id)).run.held_by is not None
    assert [run.run_id for run in await world.take(2)] == [other]


async def test_a_preset_is_only_for_process_runs(world: World):
    _, run_id = await executing(world)
    with pytest.raises(InvalidRequest) as refused:
        await restart(world, run_id, "small-1x")
    assert [field.path for field in refused.value.fields] == ["preset"]
    assert (await world.run(run_id)).stop is None


async def test_a_restart_of_a_waiting_run_takes_its_timer_away(world: World):
    run, run_id = await executing(world)
    await world.finish(run, o.Parked(world.clock.now() + 10**10))
    assert (await restart(world, run_id)).run.state == "queued"
    assert world.rows("SELECT run_id FROM timers") == []


# --- children ---------------------------------------------------------------------------------------------------------


async def family(world: World) -> tuple[str, list[str], str]:
    """Return a parent, its children (queued, executing, sleeping, ended), and a grandchild."""
    parent = await world.submit(world.job("parent", queue="other"))
    children = [await world.submit(world.job(), parent_run_id=parent) for _ in range(4)]
    runs = {run.run_id: run for run in await world.take(3)}
    asleep, done = [run_id for run_id in children if run_id in runs][1:]
    await world.finish(runs[asleep], o.Parked(world.clock.now() + 10**10))
    await world.finish(runs[done], o.Completed())
    grandchild = await world.submit(world.job("grandchild", queue="other"), parent_run_id=children[0])
    return parent, children, grandchild


async def inbox_emptied(world: World) -> None:
    for _ in range(3):
        await world.round_of(world.engine.inbox.loop)


async def test_the_children_of_a_cancelled_run_follow_and_theirs_too(world: World):
    parent, children, grandchild = await family(world)
    await stop(world, parent)
    await inbox_emptied(world)
    states = sorted([await world.state(child) for child in children])
    assert states == ["cancelled", "cancelled", "completed", "executing"]
    (asked,) = [run for child in children if (run := await world.run(child)).state == "executing"]
    assert (asked.stop, asked.reason) == ("cancel", "parent")
    await world.finish(asked, o.Stopped())
    await inbox_emptied(world)
    assert await world.state(grandchild) == "cancelled"
    for child in (*children, grandchild):
        run = await world.run(child)
        assert run.state == "completed" or run.reason == "parent"
    assert world.rows("SELECT * FROM inbox") == []
    await world.check()


async def test_the_loop_hears_of_a_cancelled_parent_at_once(world: World):
    parent, children, _ = await family(world)
    world.engine.inbox.loop.start()
    await stop(world, parent)
    await until(lambda: world.rows("SELECT * FROM inbox") == [])
    await settled(world)
    assert "queued" not in {await world.state(child) for child in children}


async def test_a_crash_between_the_cancel_and_its_children_loses_neither(open_world):
    world = await open_world()
    parent, children, grandchild = await family(world)
    await stop(world, parent)
    assert len(world.rows("SELECT * FROM inbox")) == 1
    await world.crash()
    world = await open_world()
    await inbox_emptied(world)
    assert "queued" not in {await world.state(child) for child in children}
    assert "waiting" not in {await world.state(child) for child in children}
    assert grandchild


@pytest.mark.parametrize("turns", range(0, 24, 2))
async def test_a_crash_at_any_moment_of_the_cascade_loses_no_child(open_world, turns: int):
    world = await open_world()
    parent, children, _ = await family(world)
    await stop(world, parent)
    cascade = asyncio.create_task(world.round_of(world.engine.inbox.loop), name="inbox")
    for _ in range(turns):
        await asyncio.sleep(0)
        while world.engine.commit._busy is not None and turns % 4:  # noqa: ASYNC110 - turns are counted
            await asyncio.sleep(0)  # and once the children's transaction is through
    await world.crash()
    assert cascade.done()
    world = await open_world()
    await inbox_emptied(world)
    states = sorted([await world.state(child) for child in children])
    assert states == ["cancelled", "cancelled", "completed", "executing"]
    await world.check()


async def test_a_crash_after_the_children_and_before_the_entry_is_gone_changes_nothing_twice(open_world):
    world = await open_world()
    parent, children, _ = await family(world)
    await stop(world, parent)
    await world.engine.relations.children.cancel(parent, b"null")  # the entry is still there
    before = [await world.events(child) for child in children]
    await world.crash()
    world = await open_world()
    await inbox_emptied(world)
    assert [await world.events(child) for child in children] == before
    assert world.rows("SELECT * FROM inbox") == []
    await world.check()


async def test_children_of_a_run_that_was_not_cancelled_are_left_alone(world: World):
    parent, parent_id = await executing(world)
    child = await world.submit(world.job(), parent_run_id=parent_id)
    await world.finish(parent, o.Completed())
    await inbox_emptied(world)
    assert await world.state(child) == "queued"


# --- replay -----------------------------------------------------------------------------------------------------------
async def test_an_ended_run_is_replayed_as_a_new_one_that_both_know(world: World):
    old = await world.submit(world.job(), payload={"n": 1}, tags={"a": "b"}, metadata={"m": "x"}, priority=4)
    await stop(world, old)
    record = await world.record(old)
    payload = world.reader().exact_payload(record)
    order = replay_order(record.run.spec, payload, Replay())
    assert (order.payload, order.tags, order.metadata, order.priority) == ({"n": 1}, {"a": "b"}, {"m": "x"}, 4)
    submitter = world.engine.submitter
    answer = await submitter.submit(ADMIN, PROJECT, world.job(), order, request_id=None, trace_id="t" * 32)
    new = await world.record(answer.run_id)
    assert (new.run.spec.replay_of, new.run.spec.triggered_by) == (old, "retry")
    assert (await world.record(old)).replayed_as == answer.run_id
    assert world.reader().payload(new) == {"n": 1}


async def test_a_live_run_cannot_be_replayed_and_a_completed_one_needs_force(world: World):
    run, run_id = await executing(world)
    with pytest.raises(Conflict, match="executing"):
        new_payload(await world.record(run_id), {}, Replay(force=True))
    await world.finish(run, o.Completed())
    record = await world.record(run_id)
    with pytest.raises(Conflict, match="force"):
        new_payload(record, {}, Replay())
    assert new_payload(record, {"n": 1}, Replay(payload={"n": 2}, force=True)) == {"n": 2}
    assert new_payload(record, {"n": 1, "m": 1}, Replay(payload_patch={"n": None}, force=True)) == {"m": 1}
    with pytest.raises(InvalidRequest):
        new_payload(record, {}, Replay(payload={}, payload_patch={}, force=True))


RFC_7396 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), RFC_7396)
def test_patches_merge_as_in_the_examples_of_the_rfc(target, patch, result):
    assert merge_patch(target, patch) == result


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(JSON, JSON)
def test_a_patch_applied_twice_is_applied_once(target, patch):
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once
