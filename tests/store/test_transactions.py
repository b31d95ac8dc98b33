"""A transaction is whole or it is nothing, and what it wrote is there after a restart."""

import asyncio

import pytest

from runwright.errors import StoreError, StoreUnavailable
from runwright.store.base import ChangeSet, Slots, Store
from runwright.store.queries.runs import listing
from tests.store.rows_of import born, history, records, within, write


class Broken(Exception):
    """What a test breaks a transaction with."""


async def test_an_exception_takes_back_everything(store: Store):
    run = history()

    async def work(tx):
        await tx.apply(born(run))
        await tx.apply(ChangeSet(limits={"a": Slots(1, 2)}, outbox=[("feed", "run_1", b"{}")]))
        assert (await tx.runs([run.standing.run_id], {})).keys() == {run.standing.run_id}
        raise Broken

    with pytest.raises(Broken):
        await store.write(work)
    assert await store.record(run.standing.run_id) is None
    assert await store.events(run.standing.run_id, 0, 10) == []
    assert await within(store, "limits", ["a"]) == {}
    assert await store.outbox("feed", 10) == []


async def test_a_statement_that_fails_takes_back_everything_before_it(store: Store):
    run, twin = history(), history()
    with pytest.raises(StoreError):
        await write(store, ChangeSet(births=born(run, twin, run).births))
    assert await store.record(run.standing.run_id) is None
    assert await store.record(twin.standing.run_id) is None


async def test_a_caller_that_is_cancelled_inside_leaves_nothing_behind(store: Store):
    run, entered = history(), asyncio.Event()

    async def work(tx):
        await tx.apply(born(run))
        entered.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(store.write(work))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.record(run.standing.run_id) is None
    await write(store, born(history()))  # and the next one gets its turn


async def test_nobody_sees_what_is_not_committed(store: Store):
    run, written, go_on = history(), asyncio.Event(), asyncio.Event()

    async def work(tx):
        await tx.apply(born(run))
        written.set()
        await go_on.wait()

    task = asyncio.create_task(store.write(work))
    await written.wait()
    assert await store.record(run.standing.run_id) is None
    assert await store.events(run.standing.run_id, 0, 10) == []
    everything = listing(frozenset({"project_id"}), None, newest_first=True)
    assert await records(store, everything, project_id=run.standing.spec.project_id, limit=5) == []
    go_on.set()
    await task
    assert await store.record(run.standing.run_id) is not None


async def test_transactions_that_touch_the_same_row_take_turns(store: Store):
    async def count_up(tx):
        used = (await tx.limits(["a"])).get("a", Slots(0, 9)).used
        await asyncio.sleep(0)
        await tx.apply(ChangeSet(limits={"a": Slots(used + 1, 9)}))

    await asyncio.gather(*(store.write(count_up) for _ in range(20)))
    assert await within(store, "limits", ["a"]) == {"a": Slots(20, 9)}


async def test_a_write_returns_what_its_work_returned(store: Store):
    async def work(tx):
        return tx.now

    assert await store.write(work) == 1_800_000_000_000_000


async def test_the_time_of_a_transaction_stands_still(store: Store, backend):
    async def work(tx):
        before = tx.now
        backend.clock.advance(5)
        return before == tx.now

    assert await store.write(work)


async def test_each_transaction_reads_the_time_anew(store: Store, backend):
    async def work(tx):
        return tx.now

    backend.clock.advance(5)
    assert await store.write(work) == backend.clock.now()


async def test_what_was_written_is_there_after_a_restart(backend):
    store = backend.make()
    await store.open()
    run = history(ended=True)
    await write(store, born(run))
    await write(store, ChangeSet(limits={"a": Slots(1, 2)}, inbox=[("run_1", b"x")], outbox=[("feed", "run_1", b"y")]))
    await store.close()
    reopened = backend.make()
    await reopened.open()
    record = await reopened.record(run.standing.run_id)
    assert record is not None
    assert record.run == run.standing
    assert await reopened.events(run.standing.run_id, 0, 10) == run.events
    assert await within(reopened, "limits", ["a"]) == {"a": Slots(1, 2)}
    assert [entry.command for entry in await reopened.inbox(5)] == [b"x"]
    assert [entry.data for entry in await reopened.outbox("feed", 5)] == [b"y"]
    await reopened.close()


async def test_a_closed_store_says_so_and_can_be_closed_again(store: Store):
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await write(store, ChangeSet())
    with pytest.raises(StoreUnavailable):
        await store.record("run_1")


async def test_closing_waits_for_the_write_under_way(backend):
    store = backend.make()
    await store.open()
    run = history()
    writing = asyncio.create_task(write(store, born(run)))
    await asyncio.sleep(0)
    await store.close()
    await writing
    reopened = backend.make()
    await reopened.open()
    assert await reopened.record(run.standing.run_id) is not None
    await reopened.close()
