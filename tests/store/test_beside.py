"""Servers beside each other on one PostgreSQL: what locks, what waits, what passes by, and what one keeps in mind."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from runwright.clock import FrozenClock
from runwright.domain import outcome as o
from runwright.domain.commands import IdempotencyKey
from runwright.domain.run import Run
from runwright.store.base import Birth, ChangeSet, Lease, Slots, Store, Transaction
from runwright.store.postgres.connection import Patience
from runwright.store.postgres.marks import NET_S
from runwright.store.postgres.store import PostgresStore
from tests.domain.specimens import HOUR, SPECIMENS, T0, redactor
from tests.postgres import new_database
from tests.store.observers import Observer
from tests.store.rows_of import born, held, history, lane, lease, queue, queued, ready, within, write

KEY = IdempotencyKey("proj_1/jobs.trigger", "k1", "f" * 64)


class Pair:
    """Two servers' stores on one database, and a connection that looks at what goes on there."""

    def __init__(self, url: str) -> None:
        self.clock = FrozenClock()
        patience = Patience(statement_s=120.0)  # what waits for long here waits for a busy machine
        self.one, self.other = (PostgresStore(url, self.clock, patience=patience) for _ in range(2))
        self.seen = Observer(url)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """Yield two open stores on one empty database."""
    with new_database() as url:
        pair = Pair(url)
        await pair.seen.open()
        await asyncio.gather(pair.one.open(), pair.other.open())
        yield pair
        await asyncio.gather(pair.one.close(), pair.other.close())
        await pair.seen.close()


@asynccontextmanager
async def holding(store: Store, work: Callable[[Transaction], Awaitable[Any]]) -> AsyncIterator[Any]:
    """Do some work in a transaction that stays open until the block ends, and then commits."""
    reached: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    go_on = asyncio.Event()

    async def held_open(tx: Transaction) -> None:
        reached.set_result(await work(tx))
        await go_on.wait()

    task = asyncio.create_task(store.write(held_open))
    await asyncio.wait([task, reached], return_when=asyncio.FIRST_COMPLETED)
    yield reached.result()
    go_on.set()
    await task


# --- claims -----------------------------------------------------------------------------------------------------------


async def test_claims_beside_each_other_share_the_queue_without_a_run_missing_or_taken_twice(pair: Pair):
    runs = [queued(float(rank), queue=name) for rank in range(60) for name in ("default", "slow")]
    await write(pair.one, ready(*runs))
    chance = random.Random(7)
    taken: list[str] = []

    async def claim(store: Store, lanes: list[str], breaks: bool) -> None:
        async def work(tx: Transaction) -> list[str]:
            mine = await tx.take(lanes, 7)
            await asyncio.sleep(0)
            if breaks:
                raise KeyError
            return mine

        try:
            taken.extend(await store.write(work))
        except KeyError:
            assert breaks

    both = [lane(), lane("slow")]
    for _ in range(6):
        await asyncio.gather(
            *(
                claim(store, chance.choice([both, [lane()], [lane("slow")]]), chance.random() < 0.3)
                for store in (pair.one, pair.other, pair.one, pair.other)
            )
        )
    pair.clock.advance(NET_S)  # a mark may have passed by a run whose claim was taken back
    while more := await within(pair.other, "take", both, 50):
        taken += more
    assert sorted(taken) == sorted(run.run_id for run in runs)


async def test_a_claim_passes_over_what_another_holds_and_does_not_wait(pair: Pair):
    runs = sorted((queued(float(rank)) for rank in range(6)), key=lambda run: run.rank or 0)
    await write(pair.one, ready(*runs))
    names = [run.run_id for run in runs]
    async with holding(pair.one, lambda tx: tx.take([lane()], 3)) as taken:
        assert taken == names[:3]
        assert await within(pair.other, "take", [lane()], 2) == names[3:5]
    assert await within(pair.one, "take", [lane()], 9) == names[5:]


async def test_a_run_that_was_moved_since_a_claim_began_is_not_claimed(pair: Pair):
    runs = [queued(1.0), queued(2.0), queued(3.0)]
    await write(pair.one, ready(*runs))
    async with pair.seen.halting("ready"):
        claiming = asyncio.create_task(within(pair.other, "take", [lane()], 5))
        await pair.seen.waiting(1)  # at its first run; the others stand in its snapshot as they were
        moved = runs[1].run_id
        await pair.seen.execute(
            f"UPDATE run_heads SET state = 'paused', rank = NULL WHERE run_id = '{moved}';"
            f"DELETE FROM ready WHERE run_id = '{moved}'"
        )
    assert await claiming == [runs[0].run_id, runs[2].run_id]


async def test_a_claim_of_many_lanes_takes_from_those_that_hold_something(pair: Pair):
    names = [f"q{number}" for number in range(70)]
    runs = [queued(float(number), queue=f"q{number}") for number in (3, 40, 69)]
    await write(pair.one, ready(*runs))
    lanes = [lane(name) for name in names]
    assert await within(pair.other, "take", lanes, 2) == [run.run_id for run in runs[:2]]
    assert await within(pair.other, "take", lanes, 2) == [runs[2].run_id]


# --- marks ------------------------------------------------------------------------------------------------------------


async def test_a_run_put_in_before_the_mark_elsewhere_is_found_at_a_hint_or_by_the_net(pair: Pair):
    await write(pair.one, ready(queued(5.0)))
    assert len(await within(pair.one, "take", [lane()], 1)) == 1
    early = [queued(rank) for rank in (1.0, 2.0)]
    await write(pair.other, ready(early[0]))
    assert await within(pair.one, "take", [lane()], 5) == [], "the mark of this server stands behind it"
    pair.one.marks.lower({lane(): 1.0})
    assert await within(pair.one, "take", [lane()], 5) == [early[0].run_id]
    await write(pair.one, ready(queued(5.0)))
    assert len(await within(pair.one, "take", [lane()], 1)) == 1
    await write(pair.other, ready(early[1]))
    pair.clock.advance(NET_S)
    assert await within(pair.one, "take", [lane()], 5) == [early[1].run_id]


async def test_a_mark_is_not_raised_past_a_run_that_came_during_the_claim(pair: Pair):
    await write(pair.one, ready(queued(5.0), queued(6.0)))
    early = queued(1.0)
    async with holding(pair.one, lambda tx: tx.take([lane()], 1)):
        await write(pair.one, ready(early))
    assert await within(pair.one, "take", [lane()], 1) == [early.run_id]


async def test_a_claim_begins_where_the_last_one_ended(pair: Pair):
    await write(pair.one, ready(*(queued(float(rank)) for rank in range(40))))
    assert pair.one.marks.look(lane()).start == -math.inf
    for _ in range(3):
        await within(pair.one, "take", [lane()], 10)
    assert pair.one.marks.look(lane()).start == 29.0
    assert pair.other.marks.look(lane()).start == -math.inf


# --- locks on what may not exist --------------------------------------------------------------------------------------


async def test_a_limit_is_locked_though_nobody_uses_it(pair: Pair):
    async def use(tx: Transaction) -> Slots:
        slots = (await tx.limits(["b", "a"])).get("a", Slots(0, 3))
        await tx.apply(ChangeSet(limits={"a": Slots(slots.used + 1, 3)}))
        return slots

    async with holding(pair.one, use) as first:
        waiting = asyncio.create_task(pair.other.write(use))
        await pair.seen.waiting(1)
    assert (first.used, (await waiting).used) == (0, 1)
    assert await within(pair.one, "limits", ["a"]) == {"a": Slots(2, 3)}


async def test_of_two_requests_with_one_key_the_second_finds_the_run_of_the_first(pair: Pair):
    async def submit(tx: Transaction) -> Any:
        taken = await tx.idempotency([KEY], 0)
        if not taken:
            await tx.apply(ChangeSet(idempotency=[(KEY, f"run of {id(tx)}")]))
        return taken

    async with holding(pair.one, submit) as first:
        second = asyncio.create_task(pair.other.write(submit))
        await pair.seen.waiting(1)
    found = (await second)[KEY.scope, KEY.key]
    assert first == {}
    assert found == (await within(pair.one, "idempotency", [KEY], 0))[KEY.scope, KEY.key]


async def test_one_transaction_at_a_time_is_at_a_duty(pair: Pair):
    async with holding(pair.one, lambda tx: tx.alone("outbox.rollups")) as first:
        assert first
        assert not await within(pair.other, "alone", "outbox.rollups")
        assert await within(pair.other, "alone", "outbox.feed")
    assert await within(pair.other, "alone", "outbox.rollups")


# --- runs -------------------------------------------------------------------------------------------------------------


async def test_who_waited_for_a_run_gets_it_as_its_holder_left_it(pair: Pair):
    made = SPECIMENS["executing"]()
    await write(pair.one, born(made))
    run_id = made.standing.run_id
    ahead = replace(made.standing, seq=9, hash=b"h" * 32, at=T0 + HOUR)

    async def append(tx: Transaction) -> None:
        await tx.runs([run_id], {})
        await tx.apply(ChangeSet(heads_moved=[ahead]))

    async with holding(pair.one, append):
        waiting = asyncio.create_task(within(pair.other, "runs", [run_id], {run_id: made.standing}))
        await pair.seen.waiting(1)
    assert await waiting == {run_id: ahead}, "and does not trust what it knew"


async def test_who_waited_for_a_run_that_ended_meanwhile_gets_its_end(pair: Pair):
    made = SPECIMENS["executing"]()
    await write(pair.one, born(made))
    run_id, old = made.standing.run_id, made.standing
    ended = made.finish(o.Completed())

    async def finish(tx: Transaction) -> None:
        await tx.runs([run_id], {})
        await tx.apply(ChangeSet(moved=[(ended, b"result")], heads_gone=[run_id]))

    async with holding(pair.one, finish):
        waiting = asyncio.create_task(within(pair.other, "runs", [run_id], {run_id: old}))
        await pair.seen.waiting(1)
        without = pair.other.write(lambda tx: tx.runs([run_id], {run_id: old}, wait=False))
        assert await without == {}, "a loop passes by"
    assert await waiting == {run_id: ended}


async def test_a_run_that_is_born_between_the_lock_and_the_reading_is_locked_too(pair: Pair):
    made = history().standing
    await write(pair.one, born_of(made))
    await pair.seen.put_aside("runs", "run_heads")

    async def look(tx: Transaction) -> tuple[dict[str, Any], dict[str, Any]]:
        found = await tx.runs([made.run_id], {})
        return found, await pair.one.write(lambda beside: beside.runs([made.run_id], {}, wait=False))

    async with pair.seen.locked("runs"):
        looking = asyncio.create_task(pair.other.write(look))
        await pair.seen.waiting(1)  # it has found no head to lock
        await pair.seen.put_back("runs", "run_heads")
    assert await looking == ({made.run_id: made}, {})


# --- turns ------------------------------------------------------------------------------------------------------------


async def test_nobody_waits_for_a_turn_that_another_is_writing(pair: Pair):
    for rank in (1.0, 2.0):
        await write(pair.one, ChangeSet(turns={(queue(), "p1"): rank}))
    async with holding(pair.one, lambda tx: tx.apply(ChangeSet(turns={(queue(), "p1"): 3.0}))):
        await write(pair.other, ChangeSet(turns={(queue(), "p1"): 9.0, (queue(), "p2"): 4.0}))
    places = await within(pair.one, "places", [(queue(), "p1"), (queue(), "p2")])
    assert [place.turn for place in places.values()] == [3.0, 4.0]


# --- leases -----------------------------------------------------------------------------------------------------------


async def test_a_heartbeat_and_the_reaper_pass_each_other_by(pair: Pair):
    run_ids = [history().standing.run_id for _ in range(3)]
    await write(pair.one, ChangeSet(leases=[lease(run_id, until=T0) for run_id in run_ids]))
    beat = [(run_id, 1, T0 + HOUR) for run_id in run_ids]
    reaped = run_ids[1]

    async def reap(tx: Transaction) -> dict[str, Lease]:
        found = await tx.leases([reaped])
        await tx.apply(ChangeSet(leases_gone=[reaped]))
        return found

    async with holding(pair.one, reap) as found:
        assert found == {reaped: lease(reaped, until=T0)}
        assert await within(pair.other, "renew", "wrk-1", beat) == [], "what became of it is not certain yet"
    assert await within(pair.other, "renew", "wrk-1", beat) == [reaped]
    async with holding(pair.one, lambda tx: tx.renew("wrk-1", beat)):
        assert await within(pair.other, "leases", run_ids) == {}, "a lease that is being renewed is nobody's to end"
    left = await within(pair.other, "leases", run_ids)
    assert {run_id: held.until for run_id, held in left.items()} == {run_ids[0]: T0 + HOUR, run_ids[2]: T0 + HOUR}


# --- all together -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_done_beside_each_other_nobody_waits_in_a_circle_and_nothing_is_lost(pair: Pair, seed: int):
    chance = random.Random(seed)
    runs = [queued(float(number)) for number in range(12)]
    await write(pair.one, born_of(*runs))
    run_ids = [run.run_id for run in runs]
    await write(pair.one, ChangeSet(leases=[lease(run_id) for run_id in run_ids]))
    limits, keys = [f"limit {n}" for n in range(6)], [replace(KEY, key=f"k{n}") for n in range(6)]
    used, appended = dict.fromkeys(limits, 0), dict.fromkeys(run_ids, 0)

    async def batch(store: Store) -> None:
        # Many take no limit or key: else they would come one after the other from the start.
        wanted, some = chance.sample(limits, chance.choice([0, 0, 3])), chance.sample(run_ids, 5)
        named, turns = chance.sample(keys, chance.choice([0, 0, 2])), chance.sample(range(5), 3)

        async def work(tx: Transaction) -> None:
            await tx.idempotency(named, 0)
            slots = await tx.limits(wanted)
            found = await tx.runs(some, {})
            await tx.leases(some[:2])
            moved = [replace(run, seq=run.seq + 1) for run in found.values()]
            chance.shuffle(moved)
            await tx.apply(
                ChangeSet(
                    limits={key: Slots(slots.get(key, Slots(0, 99)).used + 1, 99) for key in wanted},
                    idempotency=[(key, "run") for key in named],
                    heads_moved=moved,
                    fences=[(some[0], T0)],
                    turns={(queue(), f"p{n}"): chance.random() for n in turns},
                )
            )

        await store.write(work)
        for key in wanted:
            used[key] += 1
        for run_id in some:
            appended[run_id] += 1

    async def beats(store: Store) -> None:
        await within(store, "renew", "wrk-1", [(run_id, 1, T0) for run_id in chance.sample(run_ids, 8)])

    stores = [pair.one, pair.other]
    work = [chance.choice([batch, batch, batch, beats])(chance.choice(stores)) for _ in range(80)]
    await asyncio.gather(*work)
    assert pair.one.retried + pair.other.retried == 0, "a transaction was taken back for the sake of another"
    assert {key: slots.used for key, slots in (await within(pair.one, "limits", limits)).items()} == used
    after = await within(pair.other, "runs", run_ids, {})
    assert {run_id: run.seq - runs[0].seq for run_id, run in after.items()} == appended


def born_of(*runs: Run) -> ChangeSet:
    """Return what the births of live runs write."""
    births = [Birth(run, redactor.raw(msgspec.json.encode(run.spec)), None) for run in runs]
    return ChangeSet(births=births, heads_new=list(runs))


async def test_waiting_runs_are_held_once_whoever_looks(pair: Pair):
    run = held(1.0, "job:a")
    await write(pair.one, ChangeSet(held=[run], heads_new=[run], limits={"job:a": Slots(1, 1)}))
    assert await pair.other.starved(5) == []
    await write(pair.other, ChangeSet(limits={"job:a": Slots(0, 1)}))
    assert await pair.one.starved(5) == ["job:a"]
