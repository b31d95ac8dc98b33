"""What retention removes, and what it must never touch."""

from __future__ import annotations

from msgspec.structs import replace

from runwright.store.base import ChangeSet, Store
from runwright.store.queries.retention import TO_FORGET
from tests.domain.specimens import HOUR, SPECIMENS, T0, History
from tests.store.rows_of import born, history, thinned, value, within, write


async def ended(store: Store, count: int = 1) -> list[History]:
    made = [history(ended=True) for _ in range(count)]
    await write(store, born(*made))
    return made


async def test_an_old_run_keeps_its_row_and_loses_all_its_records(store: Store):
    old = (await ended(store))[0]
    run_id = old.standing.run_id
    artifacts = [value(run_id, "output", "big", None, "a" * 64), value(run_id, "output", "small")]
    await write(store, ChangeSet(values=artifacts, payloads=[(run_id, b"sealed")]))
    assert await thinned(store, T0 + HOUR, 10) == ([run_id], ["a" * 64])
    record = await store.record(run_id)
    assert record is not None
    assert (record.run, record.payload, record.result) == (old.standing, None, None)
    assert record.pruned_at is not None
    assert await store.events(run_id, 0, 10) == []
    assert await store.values(run_id, "output") == []
    assert await store.attempts(run_id) == []
    assert (await thinned(store, T0 + HOUR, 10))[0] == []


async def test_a_summary_is_forgotten_when_it_was_thinned_before(store: Store):
    old, young = await ended(store, 2)
    assert await store.fetch(TO_FORGET, before=T0 + HOUR, limit=10) == []
    await within(store, "thin", {old.standing.run_id: b"way"})
    found = [row[0] for row in await store.fetch(TO_FORGET, before=T0 + HOUR, limit=10)]
    assert found == [old.standing.run_id]
    await within(store, "forget", found)
    assert await store.record(old.standing.run_id) is None
    assert await store.record(young.standing.run_id) is not None


async def test_what_has_ended_is_told_with_what_its_proof_covers(store: Store):
    done, living = history(ended=True), history()
    await write(store, born(done, living))
    run = done.standing
    (found,) = await within(store, "ended", [run.run_id, living.standing.run_id, "run_none"])
    assert (found.run_id, found.org_id, found.state, found.seq, found.hash) == (
        run.run_id, run.spec.org_id, "completed", run.seq, run.hash,
    )  # fmt: skip
    assert (found.opening, found.genesis, found.pruned_at) == (done.command.opening, None, None)


async def test_a_run_that_ended_later_stays(store: Store):
    run = (await ended(store))[0].standing
    assert run.finished_at is not None
    assert (await thinned(store, run.finished_at, 10))[0] == []
    assert await store.record(run.run_id) is not None
    assert (await thinned(store, run.finished_at + 1, 10))[0] == [run.run_id]


async def test_a_live_run_stays_however_old_it_is(store: Store):
    living = [make() for make in SPECIMENS.values() if not make().standing.terminal]
    await write(store, born(*living))
    assert (await thinned(store, T0 + 1_000_000 * HOUR, 100))[0] == []
    for each in living:
        record = await store.record(each.standing.run_id)
        assert record is not None
        assert record.run == each.standing
        assert await store.events(each.standing.run_id, 0, 100) == each.events


async def test_the_ended_child_of_a_live_run_stays_until_that_has_ended(store: Store):
    parent = history()
    child = history(ended=True, parent_run_id=parent.standing.run_id)
    await write(store, born(parent, child))
    assert (await thinned(store, T0 + HOUR, 10))[0] == []
    done = replace(parent.standing, state="cancelled", finished_at=T0)
    await write(store, ChangeSet(moved=[(done, None)], heads_gone=[done.run_id]))
    assert sorted((await thinned(store, T0 + HOUR, 10))[0]) == sorted([done.run_id, child.standing.run_id])


async def test_pruning_goes_on_in_batches_those_that_ended_first(store: Store):
    run_ids = [each.standing.run_id for each in await ended(store, 5)]
    seen = []
    while batch := (await thinned(store, T0 + HOUR, 2))[0]:
        assert len(batch) <= 2
        seen += batch
    assert sorted(seen) == sorted(run_ids)
