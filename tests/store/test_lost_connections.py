"""PostgreSQL goes away at every point of a transaction: the caller hears it, and nothing is half written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from runwright.clock import FrozenClock, SystemClock
from runwright.errors import StoreError, StoreUnavailable
from runwright.store.base import ChangeSet, Slots, Store, Transaction
from runwright.store.postgres.store import PostgresStore
from tests.ports import kept
from tests.store.observers import Observer
from tests.store.rows_of import born, history, lane, within, write


@pytest.fixture
async def store(seen: Observer) -> AsyncIterator[Store]:
    """Yield an open store over it."""
    store = PostgresStore(seen.url, FrozenClock())
    await store.open()
    yield store
    await store.close()


async def test_connections_that_were_lost_while_idle_are_replaced_unnoticed(store: Store, seen: Observer):
    run = history()
    await write(store, born(run))
    await asyncio.gather(*(store.next_timer() for _ in range(4)), *(within(store, "open", [lane()]) for _ in range(4)))
    await seen.end_connections()
    assert await store.record(run.standing.run_id) is not None
    await write(store, born(history()))


@pytest.mark.parametrize("point", ["before the first statement", "between two", "after the last"])
async def test_a_transaction_whose_connection_is_lost_writes_nothing(store: Store, seen: Observer, point: str):
    run = history()

    async def work(tx: Transaction) -> None:
        for step in ("before the first statement", "between two", "after the last"):
            if step == point:
                await seen.end_connections()
                await seen.resting()
            if step != "after the last":
                await tx.apply(born(run) if step == "between two" else ChangeSet(limits={"a": Slots(1, 1)}))

    with pytest.raises(StoreUnavailable):
        await store.write(work)
    assert await store.record(run.standing.run_id) is None
    assert await within(store, "limits", ["a"]) == {}


async def test_a_transaction_that_is_lost_while_it_waits_for_a_lock_writes_nothing(store: Store, seen: Observer):
    run = history()
    async with seen.locked("limits"):
        writing = asyncio.create_task(write(store, ChangeSet(limits={"a": Slots(1, 1)}, births=born(run).births)))
        await seen.waiting(1)
        await seen.end_connections()
        with pytest.raises(StoreUnavailable):
            await writing
    assert await store.record(run.standing.run_id) is None


async def test_a_commit_whose_answer_was_lost_is_said_to_be_unknown(store: Store, seen: Observer):
    run = history()
    async with seen.ending_at_commit("run_heads"):
        with pytest.raises(StoreUnavailable, match="only PostgreSQL knows"):
            await write(store, born(run))
    assert await store.record(run.standing.run_id) is None
    await write(store, born(run))


async def test_a_reading_is_repeated_when_its_connection_was_lost(store: Store, seen: Observer):
    run = history()
    await write(store, born(run))
    async with seen.locked("runs"):
        reading = asyncio.create_task(store.record(run.standing.run_id))
        await seen.waiting(1)
        await seen.end_connections()
    record = await reading
    assert record is not None
    assert record.run == run.standing


async def test_a_caller_that_is_cancelled_while_it_waits_leaves_no_transaction_open(store: Store, seen: Observer):
    async with seen.locked("limits"):
        writing = asyncio.create_task(write(store, ChangeSet(limits={"a": Slots(1, 1)})))
        await seen.waiting(1)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        await seen.resting()
    await write(store, ChangeSet(limits={"a": Slots(2, 2)}))
    assert await within(store, "limits", ["a"]) == {"a": Slots(2, 2)}


async def test_a_statement_that_failed_unheard_fails_the_transaction(store: Store):
    async def work(tx: Transaction) -> None:
        run = history()
        try:
            await tx.apply(ChangeSet(births=[*born(run).births, *born(run).births]))
        except StoreError:
            return

    with pytest.raises(StoreError, match="took all of it back"):
        await store.write(work)


async def test_of_several_hosts_the_one_that_answers_is_used(seen: Observer):
    with kept() as nobody:
        url = seen.url.replace("127.0.0.1:", f"127.0.0.1:{nobody},127.0.0.1:")
        store = PostgresStore(url, FrozenClock())
        await store.open()
        await write(store, born(history()))
        await store.close()


async def test_a_server_that_can_only_be_read_is_not_used(seen: Observer):
    await seen.execute("DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', "
                       "current_database()); END$$")  # fmt: skip
    with pytest.raises(StoreUnavailable, match="can be written"):
        await PostgresStore(seen.url, FrozenClock()).open()


async def test_where_none_of_several_hosts_can_be_used_each_is_told(seen: Observer):
    await seen.execute("DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', "
                       "current_database()); END$$")  # fmt: skip
    with kept() as nobody:
        url = seen.url.replace("127.0.0.1:", f"127.0.0.1:{nobody},127.0.0.1:")
        with pytest.raises(StoreUnavailable) as told:
            await PostgresStore(url, FrozenClock()).open()
    first, second = str(told.value).split("; ")
    assert first.startswith(f"127.0.0.1:{nobody}: PostgreSQL cannot be reached")
    assert second.startswith("127.0.0.1:"), second
    assert second.endswith("can be written at the moment")


async def test_the_clock_is_shifted_to_the_time_of_the_database(seen: Observer):
    clock, right = SystemClock(), SystemClock()
    clock.shift(3_600_000_000)
    store = PostgresStore(seen.url, clock)
    await store.open()
    await store.close()
    assert abs(clock.now() - right.now()) < 60_000_000


async def test_a_clock_that_a_test_moves_is_left_alone(store: Store):
    assert await within_now(store) == FrozenClock().now()


async def within_now(store: Store) -> int:
    """Return the time of a transaction."""

    async def work(tx: Transaction) -> int:
        return tx.now

    return await store.write(work)
