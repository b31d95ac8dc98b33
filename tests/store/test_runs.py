"""Runs, their heads, events, attempts and values: everything that a change set writes comes back as it was."""

import msgspec
import pytest
from msgspec.structs import replace

from runwright import ids
from runwright.domain import outcome as o
from runwright.domain.events import Draft, Event
from runwright.domain.run import Run
from runwright.store.base import Attempt, ChangeSet, Lease, Store, StoredValue
from runwright.store.queries.events import OF_TYPE, event_of
from tests.domain.specimens import HOUR, SPECIMENS, T0, failed, redactor
from tests.store.rows_of import born, history, lease, value, within, write


async def read_back(store: Store, run_id: str) -> Run:
    """Return a run as a transaction reads it, from the tables and not from what somebody knew."""
    found = await within(store, "runs", [run_id], {})
    run: Run = found[run_id]
    return run


@pytest.mark.parametrize("named", SPECIMENS)
async def test_a_run_comes_back_as_it_was_in_every_state(store: Store, named: str):
    made = SPECIMENS[named]()
    await write(store, born(made))
    record = await store.record(made.standing.run_id)
    assert record is not None
    assert record.run == made.standing
    assert await read_back(store, made.standing.run_id) == made.standing
    assert (record.payload, record.result, record.replayed_as, record.dead_letter_left_at) == (
        b"sealed",
        None,
        None,
        None,
    )


@pytest.mark.parametrize("named", [name for name in SPECIMENS if not SPECIMENS[name]().standing.terminal])
async def test_a_live_run_moves_to_any_other_standing(store: Store, named: str):
    made = SPECIMENS["queued"]()
    await write(store, born(made))
    moved = replace(
        SPECIMENS[named]().standing, spec=made.standing.spec, rank=7.5, held_by="job:x", error=failed().message
    )
    await write(store, ChangeSet(moved=[(moved, None)], heads_moved=[moved]))
    assert await read_back(store, moved.run_id) == moved


async def test_an_append_moves_the_head_alone_and_the_run_is_read_from_both(store: Store):
    made = SPECIMENS["executing"]()
    await write(store, born(made))
    ahead = replace(made.standing, seq=9, hash=b"h" * 32, at=T0 + HOUR)
    await write(store, ChangeSet(heads_moved=[ahead]))
    assert await read_back(store, ahead.run_id) == ahead
    record = await store.record(ahead.run_id)
    assert record is not None
    assert record.run == ahead


async def test_a_run_that_ended_has_no_head_and_keeps_its_last_seq_and_hash(store: Store):
    made = SPECIMENS["executing"]()
    await write(store, born(made))
    ended = made.finish(o.Completed())
    await write(store, ChangeSet(moved=[(ended, b"result")], heads_gone=[ended.run_id], events=made.events[-1:]))
    record = await store.record(ended.run_id)
    assert record is not None
    assert (record.run, record.result) == (ended, b"result")
    assert await read_back(store, ended.run_id) == ended


async def test_a_move_without_a_result_leaves_the_result_alone(store: Store):
    made = SPECIMENS["completed"]()
    await write(store, born(made))
    await write(store, ChangeSet(moved=[(made.standing, b"result")]))
    await write(store, ChangeSet(moved=[(made.standing, None)]))
    record = await store.record(made.standing.run_id)
    assert record is not None
    assert record.result == b"result"


async def test_runs_that_do_not_exist_are_not_there(store: Store):
    made = history()
    await write(store, born(made))
    found = await within(store, "runs", ["run_none", made.standing.run_id], {})
    assert found.keys() == {made.standing.run_id}
    assert await store.record("run_none") is None
    assert await within(store, "runs", [], {}) == {}


async def test_a_run_that_somebody_knows_is_still_the_right_one(store: Store):
    one, other = history(), history()
    await write(store, born(one, other))
    known = {one.standing.run_id: one.standing}
    found = await within(store, "runs", [one.standing.run_id, other.standing.run_id], known)
    assert found == {one.standing.run_id: one.standing, other.standing.run_id: other.standing}


async def test_a_replay_is_noted_at_the_run_it_does_again(store: Store):
    made = SPECIMENS["completed"]()
    await write(store, born(made))
    await write(store, ChangeSet(replays=[(made.standing.run_id, "run_again")]))
    record = await store.record(made.standing.run_id)
    assert record is not None
    assert (record.replayed_as, record.run) == ("run_again", made.standing)


async def test_payloads_come_by_run(store: Store):
    with_one, without = history(payload=b"sealed payload"), history(payload=None)
    await write(store, born(with_one, without))
    ids_ = [with_one.standing.run_id, without.standing.run_id, "run_none"]
    assert await store.payloads(ids_) == {ids_[0]: b"sealed payload", ids_[1]: None}


# --- events -----------------------------------------------------------------------------------------------------------


async def test_events_come_back_exactly_and_in_order(store: Store):
    made = SPECIMENS["paused from waiting"]()
    odd = replace(
        made.events[-1],
        seq=len(made.events) + 1,
        message="ünïcode \x00 and NUL",
        data=b'{"a":"\xff\x00"}',
        usage=b'{"input_tokens":1}',
        salt=bytes(range(16)),
        level="error",
    )
    changes = born(made)
    changes.events = [odd, *reversed(made.events)]
    await write(store, changes)
    assert await store.events(made.standing.run_id, 0, 100) == [*made.events, odd]


async def test_events_are_paged_by_seq_without_gap_or_repeat(store: Store):
    made, stranger = SPECIMENS["paused from waiting"](), SPECIMENS["completed"]()
    await write(store, born(made, stranger))
    run_id = made.standing.run_id
    for size in range(1, len(made.events) + 2):
        seen: list[Event] = []
        while page := await store.events(run_id, seen[-1].seq if seen else 0, size):
            assert len(page) <= size
            seen += page
        assert seen == made.events
    assert await store.events(run_id, made.events[-1].seq, 10) == []
    assert await store.events("run_none", 0, 10) == []


async def test_seqs_that_no_log_has_may_be_asked_for(store: Store):
    made = history(ended=False)
    await write(store, born(made))
    run_id, far = made.standing.run_id, 2**62
    assert await store.events(run_id, far, 10) == []
    assert await store.events_after({run_id: far}, 10) == {}
    around = {"run_id": run_id, "after": -far, "before": far, "limit": 10}
    for query in OF_TYPE:
        found = await store.fetch(query, type="run.created", after_seq=0, before_seq=far, **around)
        assert [event_of(row) for row in found] == made.events[:1]
        assert not await store.fetch(query, type="run.created", after_seq=far, before_seq=far, **around)


@pytest.mark.parametrize(("most", "expected"), [(1, 1), (100, 1), (101, 2), (250, 3), (10_000, 4)])
async def test_a_page_ends_where_it_holds_so_many_bytes(store: Store, most: int, expected: int):
    made = SPECIMENS["executing"]()
    line = Draft("log", redactor.raw(msgspec.json.encode("x" * 98)))
    made.append(*[line] * 6)
    await write(store, born(made))
    run_id, before = made.standing.run_id, made.standing.seq - 6
    assert len(made.events[-1].data or b"") == 100
    found = await store.events(run_id, before, 4, most)
    assert found == made.events[before : before + expected]
    assert await store.events(run_id, made.standing.seq, 4, most) == []


# --- attempts and values ----------------------------------------------------------------------------------------------


async def test_the_events_of_many_runs_are_read_on_at_once_each_from_where_it_was(store: Store):
    runs = [history(ended=ended) for ended in (True, False, True)]
    await write(store, born(*runs))
    first, second, third = ([event.seq for event in run.events] for run in runs)
    after = {runs[0].standing.run_id: 0, runs[1].standing.run_id: second[-1], runs[2].standing.run_id: third[0]}
    found = await store.events_after(after | {ids.new_id("run", T0): 0}, 2)
    assert {run_id: [event.seq for event in events] for run_id, events in found.items()} == {
        runs[0].standing.run_id: first[:2],
        runs[2].standing.run_id: third[1:3],
    }
    assert found[runs[2].standing.run_id] == await store.events(runs[2].standing.run_id, third[0], 2)
    assert await store.events_after({}, 2) == {}


async def test_the_records_of_many_runs_are_read_at_once(store: Store):
    runs = [history(ended=ended) for ended in (True, False)]
    await write(store, born(*runs))
    wanted = [run.standing.run_id for run in runs]
    found = {record.run.run_id: record for record in await store.records_of([*wanted, ids.new_id("run", T0)])}
    assert found == {run_id: await store.record(run_id) for run_id in wanted}
    assert await store.records_of([]) == []


async def test_attempts_come_oldest_first_with_every_field(store: Store):
    run_id = history().standing.run_id
    attempts = [
        Attempt(run_id, 2, 1, "python", "wrk-1", T0 + 5, T0 + 9, "completed", None, None, 17),
        Attempt(run_id, 1, 1, "python", "wrk-1", T0, T0 + 4, "failed", "ValueError", "boom", 3),
    ]
    await write(store, ChangeSet(attempts=attempts))
    assert await store.attempts(run_id) == [attempts[1], attempts[0]]
    assert await store.attempts("run_none") == []


async def test_values_come_by_kind_in_the_order_of_their_keys(store: Store):
    run_id = history().standing.run_id
    written = [
        value(run_id, "output", "b"),
        value(run_id, "output", "a", sealed=None, artifact="d" * 64),
        value(run_id, "step", "a", b"another kind"),
        value("run_other", "output", "c"),
    ]
    await write(store, ChangeSet(values=written))
    assert await store.values(run_id, "output") == [written[1], written[0]]
    assert await store.values(run_id, "step") == [written[2]]
    assert await store.values(run_id, "checkpoint") == []


async def test_a_later_value_of_a_key_replaces_the_earlier_one_whole(store: Store):
    run_id = history().standing.run_id
    await write(store, ChangeSet(values=[StoredValue(run_id, "output", "a", b"old", None, b'{"n":1}', T0)]))
    newer = StoredValue(run_id, "output", "a", None, "d" * 64, None, T0 + 1)
    await write(store, ChangeSet(values=[newer]))
    assert await store.values(run_id, "output") == [newer]
    twice = [replace(newer, artifact=None, sealed=b"1"), replace(newer, artifact=None, sealed=b"2")]
    await write(store, ChangeSet(values=twice))
    assert await store.values(run_id, "output") == [twice[1]]


# --- leases -----------------------------------------------------------------------------------------------------------


async def test_a_lease_is_read_beside_its_run(store: Store):
    made = SPECIMENS["executing"]()
    held = lease(made.standing.run_id, 3, "wrk-9", T0 + HOUR, T0 + 5)
    changes = born(made)
    changes.leases = [held]
    await write(store, changes)
    record = await store.record(made.standing.run_id)
    assert record is not None
    assert record.lease == held
    assert await within(store, "leases", [held.run_id, "run_none"]) == {held.run_id: held}


async def test_a_lease_goes_and_a_new_one_may_come_in_the_same_transaction(store: Store):
    run_id = history().standing.run_id
    await write(store, ChangeSet(leases=[lease(run_id, 1)]))
    await write(store, ChangeSet(leases_gone=[run_id], leases=[lease(run_id, 2, "wrk-2")]))
    assert await within(store, "leases", [run_id]) == {run_id: lease(run_id, 2, "wrk-2")}
    await write(store, ChangeSet(leases_gone=[run_id]))
    assert await within(store, "leases", [run_id]) == {}


async def test_a_fence_is_set_on_a_lease_and_moved(store: Store):
    run_id = history().standing.run_id
    await write(store, ChangeSet(leases=[lease(run_id, until=T0 + HOUR)]))
    for at in (T0 + 10, T0 + 20):
        await write(store, ChangeSet(fences=[(run_id, at)]))
        assert await within(store, "leases", [run_id]) == {run_id: lease(run_id, until=T0 + HOUR, fence_at=at)}


async def test_leases_lapse_at_their_end_and_at_their_fence(store: Store):
    run_ids = [ids.new_id("run", T0 + n) for n in range(4)]
    leases = [
        lease(run_ids[0], until=T0 + 10),
        lease(run_ids[1], until=T0 + 11),
        lease(run_ids[2], until=T0 + HOUR, fence_at=T0 + 10),
        lease(run_ids[3], until=T0 + HOUR, fence_at=T0 + 11),
    ]
    await write(store, ChangeSet(leases=leases))

    assert await store.lapsed(T0 + 9, 10) == []
    assert await store.lapsed(T0 + 10, 10) == [leases[2], leases[0]]
    assert sorted(await store.lapsed(T0 + 11, 2), key=fence_at) == leases[2:], "nobody waits behind the lapsed"
    assert (await store.lapsed(T0 + 11, 10))[2:] == leases[:2], "longest ago first"


def fence_at(lease: Lease) -> int:
    return lease.fence_at or 0


async def test_only_the_worker_of_a_lease_renews_it_and_hears_which_are_gone(store: Store):
    mine, old, theirs, gone = (ids.new_id("run", T0 + n) for n in range(4))
    leases = [lease(mine, 2, until=T0 + 1), lease(old, 5, until=T0 + 1), lease(theirs, 1, "wrk-2", T0 + 1)]
    await write(store, ChangeSet(leases=leases))
    lost = await within(
        store,
        "renew",
        "wrk-1",
        [(run, epoch, T0 + HOUR) for run, epoch in ((mine, 2), (old, 4), (theirs, 1), (gone, 1))],
    )
    assert sorted(lost) == sorted([old, theirs, gone])
    after = await within(store, "leases", [mine, old, theirs, gone])
    assert {run_id: held.until for run_id, held in after.items()} == {mine: T0 + HOUR, old: T0 + 1, theirs: T0 + 1}
    assert await within(store, "renew", "wrk-1", []) == []
