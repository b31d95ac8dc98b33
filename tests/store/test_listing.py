"""Lists of runs by statement: exactly the runs that were asked for, in order, and word for word what they show."""

import itertools
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from runwright import ids
from runwright.domain.run import TERMINAL, Run
from runwright.domain.words import REACHES_OVER, SYNONYMS, WORDS, Shows, shows, word_of
from runwright.store.base import Birth, ChangeSet, Store
from runwright.store.queries.runs import LIVE_CHILDREN, listing
from tests.domain.specimens import T0, redactor, spec
from tests.domain.test_words import every_run
from tests.store.rows_of import born, history, records, write


async def listed(store: Store, shown: frozenset[Shows] | None = None, **where: Any) -> list[str]:
    newest_first = where.pop("newest_first", True)
    query = listing(frozenset(where), shown, newest_first=newest_first)
    return [record.run.run_id for record in await records(store, query, **where, limit=1000)]


async def every_kind_of_run(store: Store) -> list[Run]:
    """Store a run of every state and reason, dead-lettered too; return them oldest first."""
    runs: list[Run] = []
    changes = ChangeSet()
    for some in every_run():
        made = spec(T0 + len(runs), kind=some.spec.kind)
        run = replace(some, spec=made)
        runs.append(run)
        changes.births.append(Birth(run, redactor.raw(msgspec.json.encode(made)), None))
        if run.state not in TERMINAL:
            changes.heads_new.append(run)
    await write(store, changes)
    return runs


@pytest.mark.parametrize("word", WORDS)
async def test_a_filter_by_word_returns_exactly_the_runs_that_show_it(store: Store, word: str):
    runs = await every_kind_of_run(store)
    shown = shows(word)
    assert shown is not None
    alike, over = {word, *SYNONYMS.get(word, ())}, REACHES_OVER.get(word)
    expected = [
        run.run_id
        for run in reversed(runs)
        if word_of(run) in alike or (run.spec.kind == "job" and word_of(run) == over)
    ]
    assert await listed(store, frozenset(shown)) == expected


async def test_a_filter_by_several_words_returns_the_runs_of_each(store: Store):
    runs = await every_kind_of_run(store)
    words = ("dead_letter", "queued", "dequeued", "completed")
    shown = frozenset(itertools.chain.from_iterable(shows(word) or () for word in words))
    assert await listed(store, shown) == [run.run_id for run in reversed(runs) if word_of(run) in words]


async def test_a_list_comes_in_either_order(store: Store):
    runs = await every_kind_of_run(store)
    oldest_first = [run.run_id for run in runs]
    assert await listed(store, newest_first=False) == oldest_first
    assert await listed(store) == oldest_first[::-1]


async def test_each_condition_finds_its_own(store: Store):
    mine = history(
        org_id="org_2", project_id="proj_2", job_id="job_2", batch_id="batch_2", parent_run_id="run_parent", ended=True
    )
    others = [history(ended=True), history()]
    await write(store, born(mine, *others))
    run = mine.standing
    asked: dict[str, Any] = {
        "project_id": "proj_2",
        "job_id": "job_2",
        "batch_id": "batch_2",
        "parent_run_id": "run_parent",
    }
    for name, value in asked.items():
        assert await listed(store, **{name: value}) == [run.run_id], name
    assert await listed(store, **asked) == [run.run_id]


async def test_bounds_of_ids_are_exact(store: Store):
    made = [history(ended=True) for _ in range(3)]
    changes = ChangeSet()
    for second, each in enumerate(made):
        moved = replace(each.standing, spec=replace(each.standing.spec, run_id=ids.new_id("run", T0 + second)))
        changes.births.append(Birth(moved, redactor.raw(msgspec.json.encode(moved.spec)), None))
    await write(store, changes)
    first, second_, third = (birth.run.run_id for birth in changes.births)
    assert await listed(store, below=second_) == [first]
    assert await listed(store, above=second_) == [third]
    assert await listed(store, from_id=second_) == [third, second_]
    assert await listed(store, until_id=second_) == [first]
    assert await listed(store, from_id=ids.floor("run", T0 + 1), until_id=ids.floor("run", T0 + 2)) == [second_]


async def test_the_limit_of_a_list_holds(store: Store):
    runs = await every_kind_of_run(store)
    query = listing(frozenset(), None, newest_first=False)
    assert [r.run.run_id for r in await records(store, query, limit=3)] == [run.run_id for run in runs[:3]]


async def test_only_children_that_live_are_found_to_be_cancelled(store: Store):
    parent = history().standing.run_id
    children = [history(parent_run_id=parent), history(parent_run_id=parent, ended=True), history()]
    await write(store, born(*children))
    assert await store.fetch(LIVE_CHILDREN, run_id=parent) == [(children[0].standing.run_id,)]
