"""Runs that depend on runs of other jobs wait for them, go on in the moment those have ended, and lose no wake-up."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from runwright.clock import FrozenClock
from runwright.domain import outcome as o
from runwright.domain.commands import Reschedule
from runwright.domain.dependency import Dependency
from runwright.domain.job import Job
from runwright.domain.tenancy import Cause
from runwright.engine import releases
from runwright.engine.jobs import Change
from runwright.errors import AlreadyExists, Conflict, InvalidRequest, NotFound
from tests.engine.conftest import NewDatabase
from tests.engine.databases import PostgresDatabase
from tests.engine.world import ADMIN, PROJECT, World, failed
from tests.postgres import new_database

HOUR = 3600.0


async def stored(world: World, slug: str, **definition: Any) -> Job:
    """Return a job that lies in the database."""
    made: Change = (await world.engine.jobs.create(ADMIN, PROJECT, world.job(slug, **definition).definition)).value
    return made.job


async def let(world: World, job: Job, upstream: Job, **terms: Any) -> Dependency:
    """Let a job depend on another."""
    return (await world.engine.dependencies.create(ADMIN, job, upstream, terms)).value


async def trigger(world: World, job: Job, **order: Any) -> str:
    """Make a run as the API does, later than any other, and do what that left."""
    world.clock.advance(0.001)
    (command,) = await world.engine.releases.ready([world.order(job, **order)])
    await world.engine.commit.apply(command)
    await errands(world)
    return command.run_id


async def errands(world: World) -> None:
    """Do all errands, and what they leave."""
    while world.rows("SELECT entry FROM inbox LIMIT 1"):
        await world.round_of(world.engine.inbox.loop)


async def end(world: World, run_id: str, outcome: o.Outcome | None = None) -> None:
    """Execute a run, and do what its end left."""
    taken = await world.take(10)
    assert run_id in [run.run_id for run in taken]
    for run in taken:
        await world.finish(run, (outcome or o.Completed()) if run.run_id == run_id else o.Released())
    await errands(world)


@pytest.fixture
async def pair(world: World) -> tuple[Job, Job]:
    """Return a job and another that depends on it."""
    ingest, report = await stored(world, "ingest", max_attempts=1), await stored(world, "report")
    await let(world, report, ingest)
    return ingest, report


async def test_appendix_c_2_a_run_that_waits_for_another_job_is_queued_in_the_moment_that_has_completed(world, pair):
    ingest, report = pair
    waiting, upstream = await trigger(world, report), await trigger(world, ingest)
    assert (await world.run(waiting)).reason == "dependency"
    await end(world, upstream)
    assert await world.state(waiting) == "queued"
    await end(world, waiting)
    assert await world.types(waiting) == ["run.created", "run.queued", "run.started", "run.completed"]
    await world.check()


async def test_a_run_that_has_what_it_needs_does_not_wait(world, pair):
    ingest, report = pair
    await end(world, await trigger(world, ingest))
    assert await world.state(await trigger(world, report)) == "queued"
    assert world.rows("SELECT entry FROM inbox") == []


async def test_a_run_that_was_made_without_a_look_is_looked_at_at_once(world, pair):
    ingest, report = pair
    await end(world, await trigger(world, ingest))
    run_id = await world.submit(report)  # as a schedule makes it
    assert await world.state(run_id) == "waiting"
    await errands(world)
    assert await world.state(run_id) == "queued"


async def test_appendix_c_27_items_of_a_bulk_trigger_wait_each_for_its_key(world, pair):
    ingest, report = pair
    await end(world, await trigger(world, ingest, payload={"dependency_key": "monday"}))
    keys = ["monday", "tuesday", None]
    orders = [world.order(report, metadata={} if key is None else {"dependency_key": key}) for key in keys]
    commands = await world.engine.releases.ready(orders)
    made = [answer.run.state for answer in await world.engine.commit.apply_all(commands)]
    assert made == ["queued", "waiting", "queued"]


async def test_a_job_on_which_nobody_depends_leaves_nothing_behind_when_its_runs_end(world, pair):
    alone = await stored(world, "alone")
    run = (await world.take(1))[0] if (await world.submit(alone)) else None
    assert run is not None
    await world.finish(run, o.Completed())
    assert world.rows("SELECT entry FROM inbox") == []


@pytest.mark.parametrize(
    ("on_miss", "state", "reason"),
    [("wait", "waiting", "dependency"), ("fail", "failed", "rejected"), ("skip", "cancelled", "dependency")],
)
async def test_a_dependency_that_failed_keeps_its_run_waiting_fails_it_or_skips_it(world, on_miss, state, reason):
    ingest, report = await stored(world, "ingest", max_attempts=1), await stored(world, "report")
    await let(world, report, ingest, on_miss=on_miss)
    waiting, upstream = await trigger(world, report), await trigger(world, ingest)
    await end(world, upstream, failed())
    run = await world.run(waiting)
    assert (run.state, run.reason) == (state, reason)
    if on_miss == "fail":
        assert (run.error_class, upstream in (run.error or "")) == ("DependencyFailed", True)
    await world.check()


async def test_a_run_that_failed_and_was_done_again_lets_the_waiting_one_go_on(world, pair):
    ingest, report = pair
    waiting, first = await trigger(world, report), await trigger(world, ingest)
    await end(world, first, failed())
    assert await world.state(waiting) == "waiting"
    await end(world, await trigger(world, ingest, replay_of=first))
    assert await world.state(waiting) == "queued"


async def test_a_wait_has_a_time_limit_that_begins_when_the_run_is_due(world):
    ingest, report = await stored(world, "ingest"), await stored(world, "report")
    await let(world, report, ingest, timeout_secs=60)
    now = world.clock.now()
    early = await trigger(world, report)
    later = await trigger(world, report, scheduled_at=now + int(HOUR * 1e6))
    assert await world.state(later) == "scheduled"
    await world.past(61)
    assert (await world.run(early)).reason == "wait_timeout"
    await world.past(HOUR - 61)
    assert (await world.run(later)).reason == "dependency"
    await world.past(61)
    assert (await world.run(later)).reason == "wait_timeout"
    await world.check()


async def test_a_run_that_becomes_due_after_its_dependency_has_ended_goes_on_at_once(world, pair):
    ingest, report = pair
    later = await trigger(world, report, scheduled_at=world.clock.now() + int(HOUR * 1e6))
    await end(world, await trigger(world, ingest))
    await world.past(HOUR)
    await errands(world)
    assert await world.state(later) == "queued"


async def test_what_comes_in_a_pause_is_found_at_the_resume(world, pair):
    ingest, report = pair
    waiting = await trigger(world, report)
    await world.stop(waiting, "pause")
    await end(world, await trigger(world, ingest))
    assert await world.state(waiting) == "paused"
    await world.resume(waiting)
    await errands(world)
    assert await world.state(waiting) == "queued"
    await world.check()


async def test_only_what_ended_within_the_maximal_age_counts(world):
    ingest, report = await stored(world, "ingest"), await stored(world, "report")
    made = await let(world, report, ingest, max_age_secs=3600)
    await end(world, await trigger(world, ingest))
    world.clock.advance(HOUR + 1)
    waiting = await trigger(world, report)
    (verdict,) = await world.engine.releases.verdicts(await world.run(waiting))
    assert (verdict.standing, "3600 s" in (verdict.why or "")) == ("open", True)
    await world.engine.dependencies.change(ADMIN, report, made.dependency_id, {"max_age_secs": 2 * 3600})
    await errands(world)
    assert await world.state(waiting) == "queued"


async def test_the_status_tells_which_run_was_matched_also_after_later_ones(world, pair):
    ingest, report = pair
    first = await trigger(world, ingest)
    await end(world, first)
    run_id = await trigger(world, report)
    await end(world, run_id)
    world.clock.advance(1)
    await end(world, await trigger(world, ingest), failed())
    (verdict,) = await world.engine.releases.verdicts(await world.run(run_id))
    assert (verdict.standing, verdict.run_id) == ("met", first)


async def test_a_deleted_dependency_is_waited_for_no_longer(world, pair):
    _, report = pair
    waiting = await trigger(world, report)
    (found,) = world.rows("SELECT dependency_id FROM job_dependencies")
    await world.engine.dependencies.delete(ADMIN, report, found[0])
    await errands(world)
    assert await world.state(waiting) == "queued"
    with pytest.raises(NotFound):
        await world.engine.dependencies.get(ADMIN, report, found[0])


async def test_circles_are_refused_and_named_and_pairs_are_there_once(world, pair):
    ingest, report = pair
    mail = await stored(world, "mail")
    await let(world, mail, report)
    with pytest.raises(InvalidRequest, match="ingest → mail → report → ingest") as refused:
        await let(world, ingest, mail)
    assert refused.value.data == {"cycle": [ingest.job_id, mail.job_id, report.job_id, ingest.job_id]}
    with pytest.raises(InvalidRequest, match="report → report"):
        await let(world, report, report)
    with pytest.raises(AlreadyExists):
        await let(world, report, ingest)


async def test_a_job_that_others_depend_on_cannot_be_deleted(world, pair):
    ingest, report = pair
    with pytest.raises(Conflict) as refused:
        await world.engine.jobs.delete(ADMIN, ingest)
    assert refused.value.data == {"job_ids": [report.job_id]}
    await world.engine.jobs.delete(ADMIN, report)
    await world.engine.jobs.delete(ADMIN, ingest)


async def test_a_long_queue_of_the_other_job_is_looked_through_to_its_bound(world, pair):
    ingest, report = pair
    await end(world, await trigger(world, ingest))
    world.engine.releases._scan = 3
    world.clock.advance(1)
    for _ in range(3):
        await world.submit(ingest)
    assert await world.state(await trigger(world, report)) == "waiting"
    world.engine.releases._scan = 4
    assert await world.state(await trigger(world, report)) == "queued"


async def test_more_runs_than_a_page_go_on_together(world, monkeypatch, pair):
    monkeypatch.setattr(releases, "PAGE", 3)
    ingest, report = pair
    await world.engine.commit.apply_all([world.order(report) for _ in range(8)])
    await errands(world)
    upstream = await trigger(world, ingest)
    await end(world, upstream)
    assert world.rows("SELECT count(*) FROM run_heads WHERE state = 'queued'") == [(8,)]


STEPS = st.lists(st.sampled_from(["make", "errands", "finish", "look", "crash", "pause", "resume"]), max_size=14)


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_in_any_order_of_making_ending_and_crashing_no_wake_up_is_lost(new_database: NewDatabase, tmp_path, steps):
    asyncio.run(any_order(new_database, tmp_path, steps))


async def any_order(new_database: NewDatabase, directory: Path, steps: list[str]) -> None:
    """Play one order; in the end the upstream run has completed, and every run that waited has gone on."""
    with new_database() as database:
        clock = FrozenClock()
        world = await World(directory, clock, (), database).open()
        ingest, report = await stored(world, "ingest"), await stored(world, "report")
        await let(world, report, ingest)
        upstream = await world.submit(ingest)
        waiting: list[str] = []
        done = False
        for step in [*steps, "make", "finish", "resume", "errands"]:
            if step == "make":
                waiting.append(await world.submit(report))
            elif step == "errands":
                await errands(world)
            elif step == "look":
                await world.round_of(world.engine.inbox.loop)
            elif step == "finish" and not done:
                done = True
                await finish_first(world, upstream)
            elif step == "crash":
                await world.crash()
                world = await World(directory, clock, (), database).open()
                await world.engine.known.refresh()
            elif step in ("pause", "resume"):
                for run_id in waiting:
                    state = await world.state(run_id)
                    if step == "pause" and state == "waiting":
                        await world.stop(run_id, "pause")
                    if step == "resume" and state == "paused":
                        await world.resume(run_id)
        assert {await world.state(run_id) for run_id in waiting} == {"queued"}
        await world.check()
        await world.crash()


async def finish_first(world: World, run_id: str) -> None:
    """Complete one run, and hand the others back."""
    for run in await world.take(50):
        await world.finish(run, o.Completed() if run.run_id == run_id else o.Released())


async def test_two_servers_lose_no_wake_up_whichever_is_first(tmp_path: Path):
    with new_database() as url:
        clock = FrozenClock()
        worlds = [World(tmp_path / name, clock, (), PostgresDatabase(url)) for name in ("first", "second")]
        first, second = [await world.open() for world in worlds]
        ingest, report = await stored(first, "ingest"), await stored(first, "report")
        await let(first, report, ingest)
        await second.engine.known.refresh()
        waiting: list[str] = []
        for _ in range(20):
            upstream = await first.submit(ingest, payload={"dependency_key": str(len(waiting))})
            (run,) = await first.take(1)
            assert run.run_id == upstream
            made = second.order(report, payload={"dependency_key": str(len(waiting))})
            await asyncio.gather(first.finish(run, o.Completed()), second.engine.commit.apply(made))
            await asyncio.gather(errands(first), errands(second))
            waiting.append(made.run_id)
            (taken,) = await second.take(1)
            await second.finish(taken, o.Completed())
            await errands(second)
        assert {await first.state(run_id) for run_id in waiting} == {"completed"}
        for world in worlds:
            await world.store.close()


async def test_a_server_that_has_not_heard_of_a_dependency_loses_nothing_by_it(tmp_path: Path):
    with new_database() as url:
        clock = FrozenClock()
        worlds = [World(tmp_path / name, clock, (), PostgresDatabase(url)) for name in ("first", "second")]
        first, second = [await world.open() for world in worlds]
        ingest, report = await stored(first, "ingest"), await stored(first, "report")
        upstream = await second.submit(ingest)
        await let(first, report, ingest)
        waiting = await trigger(first, report)
        await second.finish((await second.take(1))[0], o.Completed())
        await errands(second)
        assert (await first.state(upstream), await first.state(waiting)) == ("completed", "waiting")
        await second.round_of(second.engine.releases.loop)
        assert await first.state(waiting) == "queued"
        for world in worlds:
            await world.store.close()


async def test_a_rescheduled_run_waits_from_its_new_time_on(world, pair):
    ingest, report = pair
    now = world.clock.now()
    early, late = [await trigger(world, report, scheduled_at=now + int(HOUR * 1e6)) for _ in range(2)]
    cause = Cause(ADMIN.label)
    await world.engine.commit.apply(Reschedule(run_id=early, scheduled_at=now, cause=cause))
    await world.engine.commit.apply(Reschedule(run_id=late, scheduled_at=now + int(2 * HOUR * 1e6), cause=cause))
    await errands(world)
    assert ((await world.run(early)).reason, await world.state(late)) == ("dependency", "scheduled")
    await end(world, await trigger(world, ingest))
    assert (await world.state(early), await world.state(late)) == ("queued", "scheduled")
    await world.past(2 * HOUR)
    await errands(world)
    assert await world.state(late) == "queued"
    await world.check()
