"""What a caller sees: its own runs, exactly those that it asked for, page by page, whatever is written meanwhile."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwright.domain import outcome as o
from runwright.domain.accounts import Project
from runwright.domain.events import Event
from runwright.domain.tenancy import Actor
from runwright.domain.words import shows
from runwright.engine.reader import Filter, Listed, Reader, containing, has_pairs
from runwright.errors import NotFound
from runwright.store.base import Record
from tests.engine.world import ADMIN, PROJECT, World, failed

OTHER_PROJECT = Project("proj_2", "org_1", "other", "Other", 1.0, None, 0)
OTHER_ORG = Project("proj_3", "org_2", "theirs", "Theirs", 1.0, None, 0)
BOUND = Actor(kind="user", id="user_2", org_id="org_1", project_id="proj_2", scopes=frozenset({"runs:read"}))
STRANGER = Actor(kind="user", id="user_3", org_id="org_2", scopes=frozenset({"admin"}))


async def fill(world: World, count: int, project: Project = PROJECT, **order: object) -> list[str]:
    """Make runs one after the other and return their ids, oldest first."""
    run_ids = []
    for _ in range(count):
        run_ids.append(await world.submit(world.job(project=project), project, **order))
        world.clock.advance(0.001)
    return run_ids


def ids_of(listed: Listed) -> list[str]:
    return [record.run.run_id for record in listed.records]


async def walk(reader: Reader, wanted: Filter, limit: int, *, newest_first: bool = True) -> list[list[str]]:
    """Return all pages of a list."""
    pages, bound = [], None
    while True:
        listed = await reader.runs(wanted, bound=bound, limit=limit, newest_first=newest_first)
        pages.append(ids_of(listed))
        bound = listed.next_cursor
        if bound is None:
            return pages


def flat(pages: list[list[str]]) -> list[str]:
    return list(itertools.chain.from_iterable(pages))


# --- walls ------------------------------------------------------------------------------------------------------------


async def test_nobody_sees_another_organization_or_a_project_that_is_not_its_own(world: World):
    mine, ours, theirs = [(await fill(world, 1, project))[0] for project in (PROJECT, OTHER_PROJECT, OTHER_ORG)]
    visible = {ADMIN: [mine, ours], BOUND: [ours], STRANGER: [theirs]}
    for actor, run_ids in visible.items():
        reader = world.reader(actor)
        assert ids_of(await reader.runs(Filter(), bound=None, limit=10, newest_first=False)) == run_ids
        for run_id in (mine, ours, theirs):
            if run_id in run_ids:
                assert (await reader.run(run_id)).run.run_id == run_id
            else:
                with pytest.raises(NotFound):
                    await reader.run(run_id)


async def test_a_filter_reaches_over_no_wall(world: World):
    mine = (await fill(world, 1))[0]
    theirs = (await fill(world, 1, OTHER_ORG))[0]
    for where in ({"project_id": "proj_3"}, {"from_id": theirs, "until_id": theirs + "z"}):
        assert theirs not in ids_of(await world.reader().runs(Filter(where=where), bound=None, limit=10))
    asked = Filter(where={"project_id": "proj_1"})
    assert ids_of(await world.reader(BOUND).runs(asked, bound=None, limit=10)) == []
    assert ids_of(await world.reader().runs(asked, bound=None, limit=10)) == [mine]


@pytest.mark.parametrize("run_id", ["", "run_none", "job_1", "run_" + "0" * 32, "' OR 1=1 --"])
async def test_what_never_was_is_not_found(world: World, run_id: str):
    with pytest.raises(NotFound):
        await world.reader().run(run_id)


# --- filters and pages ------------------------------------------------------------------------------------------------


async def test_a_list_is_filtered_by_word(world: World):
    run_ids = await fill(world, 4)
    runs = {run.run_id: run for run in await world.take(3)}
    await world.finish(runs[run_ids[0]], o.Completed())
    await world.finish(runs[run_ids[1]], failed(retryable=False))
    for word, expected in {
        "completed": [run_ids[0]],
        "dead_letter": [run_ids[1]],
        "running": [run_ids[2]],
        "queued": [run_ids[3]],
        "dequeued": [],
        "failed": [],
    }.items():
        wanted = Filter(shown=frozenset(shows(word) or ()))
        assert ids_of(await world.reader().runs(wanted, bound=None, limit=10)) == expected, word


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("newest_first", [True, False])
async def test_pages_hold_every_run_once_and_in_order(world: World, limit: int, newest_first: bool):
    run_ids = await fill(world, 9)
    pages = await walk(world.reader(), Filter(), limit, newest_first=newest_first)
    assert flat(pages) == (run_ids[::-1] if newest_first else run_ids)
    assert all(len(page) == limit for page in pages[:-1])
    assert len(pages[-1]) <= limit


async def test_a_list_that_ends_with_its_page_has_no_next_one(world: World):
    await fill(world, 4)
    listed = await world.reader().runs(Filter(), bound=None, limit=4)
    assert (len(listed.records), listed.next_cursor, listed.partial) == (4, None, False)


async def test_runs_of_one_instant_are_neither_lost_nor_repeated(world: World):
    orders = [world.order(world.job()) for _ in range(20)]
    await world.engine.commit.apply_all(orders)
    pages = await walk(world.reader(), Filter(), 3)
    assert sorted(flat(pages)) == sorted(order.run_id for order in orders)


async def test_what_sql_cannot_test_is_kept_by_looking(world: World):
    run_ids = [(await fill(world, 1, payload={"n": n}))[0] for n in range(10)]
    reader = world.reader()

    def even(record: Record) -> bool:
        return int(reader.payload(record)["n"]) % 2 == 0

    assert await walk(reader, Filter(keep=even), 2) == [run_ids[8:5:-2], run_ids[4:1:-2], [run_ids[0]]]


async def test_a_search_stops_at_its_budget_and_can_go_on(open_world):
    world = await open_world(scan_budget=500)
    assert world.settings.scan_budget == 500
    reader = Reader(world.store, world.engine.values, ADMIN, scan_budget=6)
    run_ids = await fill(world, 20)
    wanted = {run_ids[0], run_ids[9], run_ids[19]}
    found, bound, partial = [], None, 0
    for _ in range(20):
        listed = await reader.runs(Filter(keep=lambda r: r.run.run_id in wanted), bound=bound, limit=2)
        found += ids_of(listed)
        partial += listed.partial
        bound = listed.next_cursor
        if bound is None:
            break
        assert listed.partial or len(listed.records) == 2
    assert found == [run_ids[19], run_ids[9], run_ids[0]]
    assert partial == 3, "six rows, six rows, six rows, and the last two"


async def test_a_page_in_the_budget_is_not_partial(world: World):
    reader = Reader(world.store, world.engine.values, ADMIN, scan_budget=50)
    await fill(world, 10)
    listed = await reader.runs(Filter(keep=lambda record: False), bound=None, limit=5)
    assert (listed.records, listed.next_cursor, listed.partial) == ([], None, False)


batches = itertools.count()


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 8), st.integers(1, 4), st.booleans(), st.lists(st.integers(0, 2), max_size=4))
async def test_pages_are_stable_while_runs_are_made(world: World, count, limit, newest_first, arrivals):
    batch_id = f"batch_{next(batches)}"
    wanted = Filter(where={"batch_id": batch_id})
    there = await fill(world, count, batch_id=batch_id)
    seen: list[str] = []
    bound, made = None, []
    while True:
        listed = await world.reader().runs(wanted, bound=bound, limit=limit, newest_first=newest_first)
        seen += ids_of(listed)
        bound = listed.next_cursor
        if bound is None:
            break
        made += await fill(world, arrivals.pop() if arrivals else 0, batch_id=batch_id)
    assert len(seen) == len(set(seen)), "no run twice"
    assert set(there) <= set(seen), "no run lost that was there when the walk began"
    assert seen == sorted(seen, reverse=newest_first)
    if newest_first:
        assert set(seen) & set(made) == set(), "what came later is not pushed in between"


# --- events and attempts ----------------------------------------------------------------------------------------------


async def test_events_are_found_by_looking_at_each(world: World):
    run_id = (await fill(world, 1))[0]
    for _ in range(3):
        await world.stop(run_id, "pause")
        await world.resume(run_id)
    reader = world.reader()

    def paused(event: Event) -> bool:
        return event.type == "run.paused"

    assert [event.seq async for event in reader.matching_events(run_id, 0, paused)] == [2, 4, 6]
    assert [event.seq async for event in reader.matching_events(run_id, 4, paused)] == [6]
    assert [event.seq for event in await reader.events(run_id, 2, 3)] == [3, 4, 5]


# --- containment ------------------------------------------------------------------------------------------------------

CONTAINED = [
    ({"a": 1, "b": 2}, {"a": 1}),
    ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}),
    ({"a": [1, 2, 3]}, {"a": [3, 1]}),
    ({"a": [1, 2]}, {"a": [1, 1, 1]}),
    ({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1}]}),
    ({"a": 1}, {"a": 1.0}),
    ({"a": None}, {"a": None}),
    ({"a": 1}, {}),
    ([1, 2, 3], [1, 3]),
    ([1, [2, 3]], [[3]]),
    ([1, 2], []),
    (["foo", "bar"], "bar"),
    (5, 5),
    ("foo", "foo"),
    (None, None),
    ({"a": []}, {"a": []}),
    ({"a": {}}, {"a": {}}),
    ({"a": 9007199254740993}, {"a": 9007199254740993}),
]
NOT_CONTAINED = [
    ({"a": 1}, {"a": 2}),
    ({"a": 1}, {"b": 1}),
    ({"a": {"b": {"c": 1}}}, {"b": {"c": 1}}),
    ({"a": 1}, {"a": "1"}),
    ({"a": 1}, {"a": True}),
    ({"a": 0}, {"a": False}),
    ({"a": None}, {"a": 0}),
    ({"a": None}, {"a": False}),
    ({}, {"a": None}),
    ({"a": [1, 2]}, {"a": 1}),
    ({"a": {"b": 1}}, {"a": ["b"]}),
    ([1, 2, [1, 3]], [1, 3]),
    ([[1, 2]], [1]),
    ("bar", ["bar"]),
    ([{"a": 1}], {"a": 1}),
    ({"a": 1}, []),
    ([], {}),
    ({"a": "foobar"}, {"a": "foo"}),
    ([1, 2], [1, None]),
    ({"a": 9007199254740993}, {"a": 9007199254740992}),
]


@pytest.mark.parametrize(("actual", "wanted"), CONTAINED)
def test_containment_finds_what_postgresql_finds(actual, wanted):
    assert containing(actual, wanted)


@pytest.mark.parametrize(("actual", "wanted"), NOT_CONTAINED)
def test_containment_finds_nothing_that_postgresql_does_not(actual, wanted):
    assert not containing(actual, wanted)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=8,
)


@settings(max_examples=100)
@given(JSON, JSON, JSON)
def test_containment_is_an_order(one, two, three):
    assert containing(one, one)
    if containing(one, two) and containing(two, three) and isinstance(two, list) == isinstance(three, list):
        assert containing(one, three)


def test_pairs_are_keys_with_or_without_a_value():
    tags = {"team": "blue", "env": ""}
    assert has_pairs(tags, [])
    assert has_pairs(tags, [("team", None), ("env", "")])
    assert has_pairs(tags, [("team", "blue")])
    assert not has_pairs(tags, [("team", "red")])
    assert not has_pairs(tags, [("team", "blue"), ("region", None)])
