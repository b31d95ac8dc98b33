"""What retention removes, and what it must never touch."""

from runwright.store.base import ChangeSet, Store
from tests.domain.specimens import HOUR, SPECIMENS, T0, History
from tests.store.rows_of import born, history, value, within, write


async def ended(store: Store, count: int = 1) -> list[History]:
    made = [history(ended=True) for _ in range(count)]
    await write(store, born(*made))
    return made


async def test_an_old_run_goes_with_all_its_records(store: Store):
    old = (await ended(store))[0]
    run_id = old.standing.run_id
    artifacts = [value(run_id, "output", "big", None, "a" * 64), value(run_id, "output", "small")]
    from_attempt = ChangeSet(values=artifacts, attempts=[])
    await write(store, from_attempt)
    pruned = await within(store, "prune", T0 + HOUR, 10)
    assert (pruned.run_ids, pruned.artifacts) == ([run_id], ["a" * 64])
    assert await store.record(run_id) is None
    assert await store.events(run_id, 0, 10) == []
    assert await store.values(run_id, "output") == []
    assert await store.attempts(run_id) == []


async def test_a_run_that_ended_later_stays(store: Store):
    run = (await ended(store))[0].standing
    assert run.finished_at is not None
    pruned = await within(store, "prune", run.finished_at, 10)
    assert pruned.run_ids == []
    assert await store.record(run.run_id) is not None
    assert (await within(store, "prune", run.finished_at + 1, 10)).run_ids == [run.run_id]


async def test_a_live_run_stays_however_old_it_is(store: Store):
    living = [make() for make in SPECIMENS.values() if not make().standing.terminal]
    await write(store, born(*living))
    pruned = await within(store, "prune", T0 + 1_000_000 * HOUR, 100)
    assert pruned.run_ids == []
    for each in living:
        record = await store.record(each.standing.run_id)
        assert record is not None
        assert record.run == each.standing
        assert await store.events(each.standing.run_id, 0, 100) == each.events


async def test_pruning_goes_on_in_batches_oldest_first(store: Store):
    run_ids = sorted(each.standing.run_id for each in await ended(store, 5))
    seen = []
    while batch := (await within(store, "prune", T0 + HOUR, 2)).run_ids:
        assert len(batch) <= 2
        seen += batch
    assert seen == run_ids
