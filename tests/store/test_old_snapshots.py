"""While somebody holds an old snapshot, nothing that is gone is cleared away: what is done often steps over none of it.

What is counted is blocks, not time: a walk over what is gone reads all of its blocks.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from msgspec.structs import replace

from runwright.clock import FrozenClock
from runwright.store.base import ChangeSet, Slots, StoredValue, Timer, Transaction
from runwright.store.postgres.marks import IDLE_S, NET_S, Marks
from runwright.store.postgres.store import PostgresStore
from tests.postgres import new_database, rows
from tests.store.rows_of import born, history, lane, queue, queued, ready, within, write

GONE, OFTEN = 3_000, 50
FEW = 15
"""Blocks of `ready` that one look may read: down the index, and the rows that are there."""
BLOCKS = "SELECT heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read FROM pg_statio_user_tables WHERE relname"

MANY_MOVES = f"DO $$BEGIN FOR i IN 1..{GONE} LOOP UPDATE run_heads SET seq = seq + 1; END LOOP; END$$"

Doing = Callable[[PostgresStore], Awaitable[object]]

LOOKS: dict[str, Doing] = {
    "the lanes that hold something": lambda store: store.lanes(),
    "how much they hold": lambda store: store.depths(),
    "the lanes to claim from": lambda store: store.claimable("org_1/"),
    "a claim": lambda store: within(store, "take", [lane()], 1),
    "whether a lane is empty": lambda store: within(store, "open", [lane()]),
    "the first rank of a queue": lambda store: within(store, "places", [(queue(), "p1")]),
}


async def blocks(times: int, look: Doing) -> int:
    """Return the blocks of `ready` that were read in all by so many looks, at a queue through which many runs went."""
    with new_database(unused=True) as url:
        holder = await asyncpg.connect(url)
        store = PostgresStore(url, FrozenClock())
        await store.open()
        try:
            async with holder.transaction(isolation="repeatable_read"):
                await holder.fetch("SELECT FROM ready")
                await write(store, ready(*(queued(float(number)) for number in range(GONE))))
                assert len(await within(store, "take", [lane()], GONE)) == GONE
                await write(store, ready(*(queued(float(GONE + number)) for number in range(OFTEN + 2))))
                await look(store)
                for _ in range(times):
                    await look(store)
                await store.close()  # what a connection counted is told when it ends
                return int(rows(url, f"{BLOCKS} = 'ready'")[0][0])
        finally:
            await store.close()
            await holder.close()


@pytest.mark.parametrize("name", LOOKS)
async def test_a_look_does_not_read_what_is_gone(name: str):
    once, often = await blocks(0, LOOKS[name]), await blocks(OFTEN, LOOKS[name])
    assert often - once < OFTEN * FEW


async def head_blocks(times: int) -> int:
    """Return the blocks of `run_heads` read by moving a run so many times, after it had been moved very often."""
    with new_database(unused=True) as url:
        holder, writer = await asyncpg.connect(url), await asyncpg.connect(url)
        store = PostgresStore(url, FrozenClock())
        await store.open()
        try:
            run = (made := history()).standing
            await write(store, born(made))
            async with holder.transaction(isolation="repeatable_read"):
                await holder.fetch("SELECT FROM run_heads")
                await writer.execute(MANY_MOVES)

                async def move(tx: Transaction) -> None:
                    (moved,) = (await tx.runs([run.run_id], {})).values()
                    await tx.apply(ChangeSet(heads_moved=[replace(moved, seq=moved.seq + 1)]))

                for _ in range(times):
                    await store.write(move)
                await store.close()
                await writer.close()
                return int(rows(url, f"{BLOCKS} = 'run_heads'")[0][0])
        finally:
            await store.close()
            await writer.close()
            await holder.close()


async def test_a_run_that_is_written_all_the_time_is_found_from_its_newest_version():
    once, often = await head_blocks(1), await head_blocks(OFTEN + 1)
    assert often - once < OFTEN * FEW


RUN_ID = history().standing.run_id
MANY_TURNS = f"""
INSERT INTO turns VALUES ('{queue()}', 'p0', 1), ('{queue()}', 'p1', 1);
INSERT INTO limits VALUES ('job:x', 1, 9);
DO $$BEGIN FOR i IN 1..{GONE} LOOP
    UPDATE turns SET last_turn = i; UPDATE limits SET used = i % 5 + 1;
END LOOP; END$$;
INSERT INTO timers SELECT 'run_' || i, 'due', i FROM generate_series(1, {GONE}) i;
DELETE FROM timers;
INSERT INTO run_values (run_id, kind, key, created_at) VALUES ('{RUN_ID}', 'output', 'a', 1);
DO $$BEGIN FOR i IN 1..{GONE} LOOP UPDATE run_values SET created_at = i; END LOOP; END$$
"""
KEPT: dict[str, tuple[str, Doing]] = {
    "turns of a queue": ("turns", lambda store: within(store, "places", [(queue(), "p1")])),
    "a turn": ("turns", lambda store: write(store, ChangeSet(turns={(queue(), "p1"): 9e9}))),
    "the slots of a limit": ("limits", lambda store: within(store, "limits", ["job:x"])),
    "a slot": ("limits", lambda store: write(store, ChangeSet(limits={"job:x": Slots(1, 9)}))),
    "a value that is kept anew": (
        "run_values_2027_01",
        lambda store: write(store, ChangeSet(values=[StoredValue(RUN_ID, "output", "a", b"new", None, None, 2)])),
    ),
    "what is due": ("timers", lambda store: store.due(GONE, 10)),
    "what comes due next": ("timers", lambda store: store.next_timer()),
}


async def test_turns_limits_values_and_timers_are_found_from_their_newest_versions():
    with new_database(unused=True) as url:
        holder, writer = await asyncpg.connect(url), await asyncpg.connect(url)
        store = PostgresStore(url, FrozenClock(), pool_max=2)
        await store.open()
        try:
            async with holder.transaction(isolation="repeatable_read"):
                await holder.fetch("SELECT FROM turns")
                await writer.execute(MANY_TURNS)
                for name, (table, look) in KEPT.items():
                    await look(store)
                    read = [await told(store, url, table)]
                    for times in (1, OFTEN + 1):
                        for _ in range(times):
                            await look(store)
                        read.append(await told(store, url, table))
                    assert read[2] - read[1] - (read[1] - read[0]) < OFTEN * FEW, name
                assert await store.next_timer() is None
                await write(store, ChangeSet(timers=[Timer("run_1", "due", 5)]))
                assert await store.next_timer() == 5
                assert [timer.at for timer in await store.due(9, 9)] == [5]
        finally:
            await store.close()
            await writer.close()
            await holder.close()


async def told(store: PostgresStore, url: str, table: str) -> int:
    """Return the blocks of a table that were read so far: what a connection counted is told when it ends."""
    for pool in store.pools.values():
        while pool._idle:
            await pool._idle.pop().close()
    return int(rows(url, f"{BLOCKS} = '{table}'")[0][0])


async def test_a_timer_that_another_process_set_without_a_word_is_found_after_a_while():
    with new_database() as url:
        clock = FrozenClock()
        one, other = PostgresStore(url, clock), PostgresStore(url, clock)
        await one.open()
        await other.open()
        try:
            assert await one.due(100, 9) == []
            await write(other, ChangeSet(timers=[Timer("run_1", "due", 50)]))
            assert (await one.due(100, 9), await other.next_timer()) == ([], 50)
            clock.advance(NET_S)
            assert [timer.at for timer in await one.due(100, 9)] == [50]
            assert await one.next_timer() == 50
        finally:
            await one.close()
            await other.close()


def test_a_timer_that_is_set_while_others_are_looked_for_is_not_passed():
    front = Marks(FrozenClock()).timers
    front.passed(front.look()[1], 50)
    start, lowered = front.look()
    front.lower(7)
    front.passed(lowered, 100)
    assert (start, front.look()[0]) == (50, 7)


async def test_a_lane_that_another_process_filled_without_a_word_is_claimable_after_a_while():
    with new_database() as url:
        clock = FrozenClock()
        one, other = PostgresStore(url, clock), PostgresStore(url, clock)
        await one.open()
        await other.open()
        try:
            await write(one, ready(queued(9.0)))
            assert await one.claimable("org_1/") == [lane()]
            clock.advance(NET_S / 2)
            assert len(await within(one, "take", [lane()], 1)) == 1
            assert await one.claimable("org_1/") == []
            first, elsewhere = queued(3.0), queued(1.0, "slow")
            await write(other, ready(first, elsewhere))
            assert await one.claimable("org_1/") == []
            clock.advance(NET_S / 2)
            assert await one.claimable("org_1/") == [lane(), lane("slow")]
            assert await within(one, "take", [lane(), lane("slow")], 5) == [elsewhere.run_id, first.run_id]
        finally:
            await one.close()
            await other.close()


async def test_a_lane_is_claimable_at_once_where_it_was_filled_or_heard_of():
    with new_database() as url:
        store = PostgresStore(url, FrozenClock())
        await store.open()
        try:
            assert await store.claimable() == await store.claimable(queue("slow")) == []
            await write(store, ready(queued(1.0), queued(1.0, "slow")))
            assert await store.claimable() == [lane(), lane("slow")]
            assert await store.claimable(queue("slow")) == [lane("slow")]
            store.lower({lane("heard"): 0.0})
            assert await store.claimable(queue("heard")) == []
        finally:
            await store.close()


def test_a_lane_that_is_entered_while_lanes_are_listed_is_not_forgotten():
    marks = Marks(FrozenClock())
    marks.lower({lane("empty"): 1.0})
    since = marks.entries
    marks.lower({lane(): 1.0})
    marks.listed("org_1/", [lane("slow")], since)
    assert sorted(marks.lanes("org_1/") or ()) == [lane(), lane("slow")]


def test_a_whole_look_that_finds_nothing_leaves_the_mark_where_it_is():
    clock = FrozenClock()
    marks = Marks(clock)
    marks.passed(marks.look(lane()), 7.0)
    clock.advance(NET_S)
    whole = marks.look(lane())
    marks.passed(whole, None)
    assert (whole.whole, marks.look(lane()).whole, marks.start(lane())) == (True, False, 7.0)


def test_a_whole_look_that_finds_a_run_before_the_mark_lowers_it():
    clock = FrozenClock()
    marks = Marks(clock)
    marks.passed(marks.look(lane()), 7.0)
    clock.advance(NET_S)
    marks.seen(marks.looks("org_1/"), {lane(): 3.0, lane("met"): 5.0})
    assert (marks.start(lane()), marks.start(lane("met"))) == (3.0, 5.0)


def test_a_lane_that_is_entered_while_lanes_are_looked_at_is_not_passed():
    marks = Marks(FrozenClock())
    marks.passed(marks.look(lane()), 7.0)
    looks = marks.looks("org_1/")
    marks.lower({lane(): 3.0, lane("met"): 2.0})
    marks.seen(looks, {lane(): 9.0, lane("met"): 9.0})
    assert (marks.start(lane()), marks.start(lane("met"))) == (3.0, -math.inf)


def test_a_look_that_began_behind_a_mark_that_was_lowered_since_does_not_raise_it():
    clock = FrozenClock()
    marks = Marks(clock)
    marks.passed(marks.look(lane()), 7.0)
    behind = marks.look(lane())
    clock.advance(NET_S)
    marks.seen(marks.looks("org_1/"), {lane(): 3.0})
    marks.passed(behind, 8.0)
    assert marks.start(lane()) == 3.0


def test_a_lane_that_is_heard_of_and_found_empty_is_looked_at_from_where_its_runs_were():
    marks = Marks(FrozenClock())
    marks.lower({lane(): 9.0})
    assert marks.start(lane()) == -math.inf
    marks.passed(marks.look(lane()), None)  # by a claim: others may have locked what is there
    assert marks.start(lane()) == -math.inf
    marks.seen(marks.looks("org_1/"), {})
    assert marks.start(lane()) == 9.0


def test_a_lane_that_is_met_is_claimable_though_lanes_were_listed_a_moment_ago():
    marks = Marks(FrozenClock())
    since = marks.entries
    marks.seen([], {lane(): 5.0})
    marks.listed("org_1/", [], since)
    marks.seen([], {lane("met"): 5.0})
    assert sorted(marks.lanes("org_1/") or ()) == [lane(), lane("met")]


def test_a_lane_into_which_nothing_is_put_for_long_is_forgotten():
    clock = FrozenClock()
    marks = Marks(clock)
    marks.lower({lane(): 9.0, lane("full"): 9.0})
    clock.advance(IDLE_S / 2)
    marks.lower({lane("young"): 9.0})
    clock.advance(IDLE_S / 2)
    marks.seen(marks.looks("org_1/"), {lane("full"): 9.0})
    assert [look.lane for look in marks.looks("org_1/")] == [lane("full"), lane("young")]
    assert [look.lane for look in marks.looks(queue("young"))] == [lane("young")]


async def test_a_claim_from_several_lanes_passes_no_run_behind_the_one_that_filled_it():
    with new_database() as url:
        clock = FrozenClock()
        one, other = PostgresStore(url, clock), PostgresStore(url, clock)
        await one.open()
        await other.open()
        try:
            await write(one, ready(queued(1.0), queued(2.0), queued(70.0, "slow")))
            assert len(await within(one, "take", [lane("slow")], 1)) == 1
            hidden = queued(50.0, "slow")
            await write(other, ready(hidden))
            assert await within(one, "take", [lane("slow")], 1) == []
            clock.advance(NET_S)
            assert len(await within(one, "take", [lane(), lane("slow")], 1)) == 1
            assert await within(one, "take", [lane("slow")], 1) == [hidden.run_id]
        finally:
            await one.close()
            await other.close()
