"""Bulk verbs over real stores: the order asked for, each run once, few statements, and nothing lost or done twice."""

import asyncio
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from runwright.domain import outcome as o
from runwright.domain.batch_operations import BatchResult
from runwright.domain.commands import Submit
from runwright.domain.run import LIVE
from runwright.domain.tenancy import Actor
from runwright.domain.words import Shows
from runwright.engine.calls import Said
from runwright.engine.reader import Filter
from runwright.errors import Conflict, NotFound
from runwright.store.base import Store, Transaction
from tests.engine.conftest import Opener
from tests.engine.world import ADMIN, World, failed

UNFINISHED = frozenset(Shows(state) for state in LIVE)
ELSEWHERE = Actor(kind="user", id="user_2", org_id="org_1", project_id="proj_2", scopes=frozenset({"admin"}))


async def cancel(world: World, run_ids: list[str], actor: Actor = ADMIN):
    return await world.engine.bulk.cancel(world.reader(actor), actor, run_ids, reason="enough", request_id="req_1")


async def dead(world: World, count: int) -> list[str]:
    """Make dead letters."""
    job = world.job(max_attempts=2)
    made = [await world.submit(job) for _ in range(count)]
    for run in await world.take(count):
        await world.finish(run, failed(retryable=False))
    return made


def again(world: World, run_id: str, **order: Any) -> Submit:
    """Return the command that replays a dead letter."""
    command = world.order(world.job(max_attempts=2), replay_of=run_id, triggered_by="retry", **order)
    return replace(command, from_dead_letters=True)


def results(world: World, batch_id: str) -> list[BatchResult]:
    """Return what the batch operation tells."""
    ((told,),) = world.rows("SELECT results FROM batch_operations WHERE batch_id = ?", batch_id)
    return msgspec.json.decode(told, type=list[BatchResult])


async def test_a_hundred_mixed_runs_are_cancelled_in_the_order_asked_for_and_counted_once(world: World):
    job = world.job()
    queued = [await world.submit(job) for _ in range(40)]
    later = [await world.submit(job, scheduled_at=world.clock.now() + 10**9) for _ in range(20)]
    paused = [await world.submit(job) for _ in range(20)]
    for run_id in paused:
        await world.stop(run_id, "pause")
    executing, ended = [run.run_id for run in await world.take(5)], []
    for run in await world.take(5):
        await world.finish(run, o.Completed())
        ended.append(run.run_id)
    waiting = [run_id for run_id in queued if run_id not in executing and run_id not in ended]
    asked = [*paused[:10], "run_unknown", *ended, *waiting, *later, *executing, *paused, *waiting[:7]]
    done = await cancel(world, asked)
    unique = list(dict.fromkeys(asked))
    assert [result.id for result in done.results] == unique
    words = {result.id: result.status for result in done.results}
    assert {words[run_id] for run_id in (*waiting, *later, *paused)} == {"canceled"}
    assert {words[run_id] for run_id in executing} == {"executing"}, "they were asked to, and must confirm"
    assert {words[run_id] for run_id in ended} == {"completed"}
    assert words["run_unknown"] == "not_found"
    refused = {result.id for result in done.results if result.refused}
    assert refused == {*ended, "run_unknown"}
    assert done.operation.created_count == len(unique) - len(refused)
    assert all(result.error for result in done.results if result.refused)
    assert [(await world.run(run_id)).stop for run_id in executing] == ["cancel"] * 5
    assert results(world, done.operation.batch_id) == done.results
    await world.check()


async def test_nothing_asked_for_is_an_operation_without_items(world: World):
    done = await cancel(world, [])
    assert (done.results, done.operation.item_count, done.operation.created_count) == ([], 0, 0)
    assert done.operation.finished_at is not None


async def test_runs_of_others_are_not_found(world: World):
    run_id = await world.submit(world.job())
    done = await cancel(world, [run_id], ELSEWHERE)
    assert [result.status for result in done.results] == ["not_found"]
    assert await world.state(run_id) == "queued"


class Counted:
    """Counts what is asked of a store inside transactions."""

    def __init__(self, store: Store) -> None:
        self.count = 0
        self._write = store.write
        store.write = self.write  # type: ignore[method-assign]

    async def write(self, work):
        async def counting(tx: Transaction):
            self.count += 1
            return await work(tx)

        return await self._write(counting)


async def test_hundreds_of_runs_are_cancelled_by_one_transaction(world: World):
    job = world.job()
    made = await world.engine.commit.apply_all([world.order(job) for _ in range(400)])
    transactions = Counted(world.store)
    done = await cancel(world, [answer.run_id for answer in made])
    assert (done.operation.created_count, transactions.count) == (400, 1)


async def test_all_that_a_filter_holds_is_cancelled_in_parts_oldest_first(open_world: Opener):
    world = await open_world(commit_batch_max=10)
    job, other = world.job(), world.job("other")
    mine = sorted([await world.submit(job) for _ in range(25)])
    spared = [await world.submit(other) for _ in range(3)]
    wanted = Filter(where={"project_id": "proj_1", "job_id": job.job_id}, shown=UNFINISHED)
    bulk, reader = world.engine.bulk, world.reader()
    found = await bulk.matching(reader, wanted, 20)
    assert ([spec.run_id for spec in found.specs], found.more) == (mine[:20], True)
    done = await bulk.cancel_found(ADMIN, found, reason=None, request_id=None)
    assert ([result.id for result in done.results], done.more) == (mine[:20], True)
    assert (done.operation.job_id, done.operation.created_count) == (job.job_id, 20)
    assert results(world, done.operation.batch_id) == done.results
    rest = await bulk.matching(reader, wanted, 20)
    assert ([spec.run_id for spec in rest.specs], rest.more) == (mine[20:], False)
    assert [await world.state(run_id) for run_id in spared] == ["queued"] * 3


async def test_a_server_lost_between_two_parts_leaves_an_unfinished_operation_that_tells_what_was_done(
    open_world: Opener,
):
    world = await open_world(commit_batch_max=10)
    made = [await world.submit(world.job()) for _ in range(25)]
    write, calls = world.store.write, []

    async def failing(work):
        calls.append(work)
        if len(calls) > 2:
            raise ConnectionError
        return await write(work)

    world.store.write = failing  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        await cancel(world, made)
    world.store.write = write  # type: ignore[method-assign]
    ((batch_id, finished_at, count),) = world.rows("SELECT batch_id, finished_at, created_count FROM batch_operations")
    assert (finished_at, count) == (None, 20)
    assert [result.id for result in results(world, batch_id)] == made[:20]
    assert [await world.state(run_id) for run_id in made] == ["cancelled"] * 20 + ["queued"] * 5


async def test_dead_letters_are_replayed_in_one_transaction_and_leave_the_queue(world: World):
    letters = await dead(world, 5)
    items = [(run_id, again(world, run_id)) for run_id in letters[:4]] + [(letters[4], NotFound("run", letters[4]))]
    bulk = world.engine.bulk
    transactions = Counted(world.store)
    done = await bulk.submit(bulk.operation(ADMIN, "dlq_replay", 5), items)
    assert transactions.count == 1
    assert [result.id for result in done.results] == letters
    assert [result.refused for result in done.results] == [False] * 4 + [True]
    for letter, result in zip(letters[:4], done.results, strict=False):
        assert (await world.record(letter)).replayed_as == result.made
        assert (await world.record(letter)).dead_letter_left_at is not None
    assert (await world.record(letters[4])).dead_letter_left_at is None
    listed = await world.reader().runs(
        Filter(where={"project_id": "proj_1", "dead_letters": True}), bound=None, limit=9
    )
    assert [record.run.run_id for record in listed.records] == [letters[4]]
    await world.check()


async def test_two_who_replay_one_dead_letter_make_one_run(world: World):
    (letter,) = await dead(world, 1)
    answers = await world.engine.commit.apply_all([again(world, letter), again(world, letter)])
    assert [isinstance(answer, Conflict) for answer in answers] == [False, True]
    with pytest.raises(Conflict):
        await world.engine.commit.apply(again(world, letter))
    assert len(world.rows("SELECT run_id FROM runs")) == 2


async def test_a_key_finds_the_replay_that_it_made_of_a_letter_that_has_left(world: World):
    (letter,) = await dead(world, 1)
    first = await world.engine.commit.apply(again(world, letter, idempotency_key="k"))
    second = await world.engine.commit.apply(again(world, letter, idempotency_key="k"))
    assert (second.run_id, second.hit) == (first.run_id, True)


async def test_a_letter_is_discarded_or_replayed_but_not_both(open_world: Opener):
    world, letters = await open_world(), []
    letters = await dead(world, 12)

    async def discard(letter: str) -> bool:
        try:
            await world.engine.amend.discard(world.reader(), ADMIN, letter)
        except Conflict:
            return False
        return True

    async def replay(letter: str) -> bool:
        answer = (await world.engine.commit.apply_all([again(world, letter)]))[0]
        return not isinstance(answer, Conflict)

    asked = [(discard, replay) if place % 2 else (replay, discard) for place in range(len(letters))]
    outcomes = await asyncio.gather(
        *(verb(letter) for letter, verbs in zip(letters, asked, strict=True) for verb in verbs)
    )
    pairs = list(zip(outcomes[::2], outcomes[1::2], strict=True))
    assert all(sum(pair) == 1 for pair in pairs), pairs


async def test_appendix_c_5_a_letter_replayed_an_hour_later_executes_and_its_calls_count(world: World):
    job = world.job(max_attempts=2, run_ttl_secs=60)
    letter = await world.submit(job)
    await world.finish((await world.take())[0], failed(retryable=False))
    await world.past(3600)
    answer = await world.engine.commit.apply(
        replace(world.order(job, replay_of=letter, triggered_by="retry"), from_dead_letters=True)
    )
    assert answer.run.expires_at == world.clock.now() + 60_000_000, "it has a time to begin in of its own"
    await world.past(30)
    (run,) = await world.take()
    assert (run.run_id, run.attempt) == (answer.run_id, 1)
    fleet = world.engine.fleet
    attempt = await fleet.attempt(run.run_id, run.lease_epoch)
    await world.engine.calls.record(attempt, Said("log", {}, message="a line"))
    await fleet.finish(attempt, attempt.completed({"done": True}))
    assert await world.state(run.run_id) == "completed"
