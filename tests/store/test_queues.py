"""The queue: who is taken first, who is held, what is used of a limit, whose turn it is."""

import contextlib

from runwright.store.base import ChangeSet, Held, Slots, Store
from runwright.store.queries.workforce import PAUSE
from tests.store.rows_of import held, lane, queue, queued, ready, within, write


async def test_the_lowest_rank_is_taken_first_and_of_equals_the_oldest_run(store: Store):
    newest, oldest, middle = (queued(5.0) for _ in range(3))
    first, last = queued(1.5), queued(9.0)
    equals = sorted([newest, oldest, middle], key=lambda run: run.run_id)
    await write(store, ready(last, newest, first, oldest, middle))
    expected = [run.run_id for run in (first, *equals, last)]
    assert await within(store, "take", [lane()], 2) == expected[:2]
    assert await within(store, "take", [lane()], 10) == expected[2:]
    assert await within(store, "take", [lane()], 10) == []


async def test_a_take_leaves_the_other_queues_alone(store: Store):
    here, there = queued(1.0), queued(0.5, queue="slow")
    await write(store, ready(here, there))
    assert await within(store, "take", [lane()], 10) == [here.run_id]
    assert await within(store, "take", [lane("slow")], 10) == [there.run_id]


async def test_a_take_that_is_rolled_back_took_nothing(store: Store):
    runs = [queued(1.0), queued(2.0)]
    both = [run.run_id for run in runs]
    await write(store, ready(*runs))

    async def work(tx):
        assert await tx.take([lane()], 5) == both
        assert await tx.take([lane()], 5) == []
        raise KeyError

    with contextlib.suppress(KeyError):
        await store.write(work)
    assert await within(store, "take", [lane()], 5) == both


async def test_a_run_leaves_the_queue_untaken(store: Store):
    one, other = queued(1.0), queued(1.0)
    await write(store, ready(one, other))
    await write(store, ChangeSet(unready=[one]))
    assert await within(store, "take", [lane()], 5) == [other.run_id]


async def test_held_runs_come_lowest_rank_first_and_by_their_limit(store: Store):
    runs = sorted((held(rank, "job:a") for rank in (3.0, 1.0, 2.0)), key=lambda run: run.rank or 0)
    await write(store, ChangeSet(held=[runs[2], runs[0], runs[1], held(0.1, "job:b")]))
    listed = [Held("job:a", run.rank or 0, run.run_id) for run in runs]
    assert await within(store, "held", ["job:a", "job:c"], 10) == {"job:a": listed}
    assert await within(store, "held", ["job:a"], 2) == {"job:a": listed[:2]}
    assert await within(store, "held", ["job:c"], 2) == {}
    await write(store, ChangeSet(unheld=[runs[0]]))
    assert await within(store, "held", ["job:a"], 10) == {"job:a": listed[1:]}


async def test_limits_are_made_and_changed(store: Store):
    await write(store, ChangeSet(limits={"a": Slots(1, 2), "b": Slots(1, 1)}))
    await write(store, ChangeSet(limits={"a": Slots(2, 5)}))
    assert await within(store, "limits", ["a", "b", "none"]) == {"a": Slots(2, 5), "b": Slots(1, 1)}
    assert await within(store, "limits", []) == {}


async def test_an_unused_limit_that_somebody_waits_for_is_kept(store: Store):
    run = held(1.0, "waited for")
    await write(store, ChangeSet(held=[run], limits={"waited for": Slots(0, 3)}))
    assert await within(store, "limits", ["waited for"]) == {"waited for": Slots(0, 3)}


async def test_limits_that_nobody_uses_or_waits_for_do_not_pile_up(store: Store):
    keys = [f"key:job_1:{n}" for n in range(50)]
    await write(store, ChangeSet(limits={key: Slots(1, 1) for key in keys}))
    await write(store, ChangeSet(limits={key: Slots(0, 1) for key in keys}))
    assert all(slots.used == 0 for slots in (await within(store, "limits", keys)).values())
    assert await store.starved(10) == []


async def test_a_starved_limit_has_a_free_slot_and_somebody_who_waits_for_it(store: Store):
    limits = {"full": Slots(1, 1), "idle": Slots(0, 1), "starved": Slots(0, 1), "over": Slots(3, 1)}
    waiting = [held(1.0, key) for key in ("full", "starved", "starved", "over")]
    await write(store, ChangeSet(limits=limits, held=waiting))
    assert await store.starved(10) == ["starved"]
    assert await store.starved(0) == []


async def floors(store: Store, *names: str) -> list[float]:
    pairs = [(queue(name), "p9") for name in names]
    found = await within(store, "places", pairs)
    return [found[pair].floor for pair in pairs]


async def test_the_floor_is_the_smallest_ready_rank_or_the_latest_turn_of_an_empty_queue(store: Store):
    assert await floors(store, "default") == [0.0]
    await write(store, ChangeSet(turns={(queue(), "p1"): 4.0, (queue(), "p2"): 7.0, (queue("slow"), "p1"): 99.0}))
    assert await floors(store, "default", "slow", "new") == [7.0, 99.0, 0.0]
    runs = [queued(2.5), queued(1.5), queued(0.5, queue="slow")]
    await write(store, ChangeSet(ready=runs))
    assert await floors(store, "default", "slow") == [1.5, 0.5]


async def test_each_project_has_a_turn_in_each_queue(store: Store):
    await write(store, ChangeSet(turns={("default", "p1"): 1.0, ("slow", "p1"): 2.0}))
    await write(store, ChangeSet(turns={("default", "p1"): 3.0}))
    pairs = [("default", "p1"), ("slow", "p1"), ("default", "p2")]
    assert [place.turn for place in (await within(store, "places", pairs)).values()] == [3.0, 2.0, 0.0]


async def test_a_lane_is_open_unless_its_queue_is_paused_and_empty_without_a_ready_run(store: Store):
    await write(store, ChangeSet(ready=[queued(1.0)], held=[held(1.0, "job:a", queue="slow")]))
    lanes = [lane(), lane("slow"), lane("new")]
    assert await within(store, "open", lanes) == {lane(): True, lane("slow"): False, lane("new"): False}
    await store.write(lambda tx: tx.fetch(PAUSE, queue=queue("slow"), paused_at=1, paused_by="user_1"))
    assert await within(store, "open", lanes) == {lane(): True, lane("new"): False}


async def test_every_queue_with_ready_runs_is_counted_however_long_the_others_are(store: Store):
    crowd = [queued(float(n), queue="crowd") for n in range(1100)]
    await write(store, ChangeSet(ready=[*crowd, queued(1.0, queue="zoo"), queued(2.0, queue="zoo")]))
    assert await store.depths() == {lane("crowd"): 1000, lane("zoo"): 2}
    assert await store.lanes() == [lane("crowd"), lane("zoo")]
    assert await store.lanes(queue("zoo")) == [lane("zoo")]


async def test_no_queue_waits_where_nothing_is_ready(store: Store):
    assert await store.depths() == {}
    assert await store.lanes() == []
