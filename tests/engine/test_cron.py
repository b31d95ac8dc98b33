"""A job with cron starts its runs by the clock: each fire once, missed ones and overlaps as the job says."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, update

from runwright import telemetry
from runwright.clock import FrozenClock
from runwright.domain import outcome as o
from runwright.engine.requests import Fire
from runwright.errors import Conflict, InvalidRequest, NotFound
from runwright.store.queries.schedules import DUE, due
from runwright.store.query import Query
from runwright.store.tables import jobs
from tests.engine.databases import Database
from tests.engine.timetable import HOUR, MINUTE, Town, at, turn_to
from tests.engine.world import ADMIN, SECOND
from tests.waiting import until

BERLIN = "Europe/Berlin"
Founder = Callable[..., Awaitable[Town]]
LOSE_JOB = Query(update(jobs).where(jobs.c.job_id == bindparam("row")).values(deleted_at=1))


@pytest.fixture
async def found(database: Database, tmp_path: Path) -> AsyncIterator[Founder]:
    """Return what opens a town over the database; each is closed in the end, if the test did not."""
    towns: list[Town] = []
    clock = FrozenClock()

    async def founded(**settings: Any) -> Town:
        towns.append(Town(tmp_path, clock, (), database, **settings))
        await towns[-1].open()
        return towns[-1]

    yield founded
    for town in towns:
        if town.opened:
            await town.close()


@pytest.fixture
async def town(found: Founder) -> Town:
    return await found()


@pytest.fixture
def told() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Return what the loop reports."""
    heard: list[tuple[str, dict[str, Any]]] = []
    detach = telemetry.attach(lambda name, fields: heard.append((name, dict(fields))) if "cron" in name else None)
    yield heard
    detach()


async def test_a_fire_makes_a_run_of_the_job_for_its_instant(town: Town):
    job = await town.create(cron="*/5 * * * *", payload_template={"report": "sales"}, tags={"team": "x"})
    first = town.clock.now() + 5 * MINUTE * SECOND
    await town.look(5 * MINUTE - 1)
    assert await town.runs_of(job) == []
    await town.look(1)
    (run,) = await town.runs_of(job)
    spec = run.spec
    assert (run.state, spec.triggered_by, spec.created_by, spec.scheduled_at) == (
        "queued",
        "cron",
        "system:cron",
        first,
    )
    assert (spec.job_version_id, spec.tags, spec.created_by_user_id) == (job.job_version_id, {"team": "x"}, None)
    assert await town.payloads(job) == [{"report": "sales"}]
    assert [event.actor for event in await town.events(run.run_id)] == ["system:cron"]
    assert len(bytes.fromhex(spec.trace_id)) == 16
    schedule = await town.schedule(job)
    assert schedule is not None
    assert (schedule.next_fire_at, schedule.last_fired_at) == (first + 5 * MINUTE * SECOND, first)
    assert schedule.last_run_id == run.run_id
    await town.look()
    assert len(await town.runs_of(job)) == 1


@pytest.mark.parametrize(("policy", "made"), [("skip", []), ("one", [2]), ("all", [1, 2])])
async def test_appendix_c_17_what_was_missed_while_no_server_was_there_is_made_up_for_as_the_job_says(
    found: Founder, told: list, policy: str, made: list[int]
):
    former = await found()
    job = await former.create(cron="0 * * * *", catch_up=policy)
    begun = former.clock.now()
    await former.close()
    former.clock.advance(2 * HOUR + 30 * MINUTE)
    town = await found()
    await town.look()
    assert await town.fires(job) == [begun + hours * HOUR * SECOND for hours in made]
    dropped = 2 - len(made)
    assert [fields["fires"] for name, fields in told if name == "cron.missed"] == ([dropped] if dropped else [])
    await town.look(30 * MINUTE)
    assert (await town.fires(job))[len(made) :] == [begun + 3 * HOUR * SECOND], "and then it goes on by the clock"


async def test_a_fire_that_is_a_little_late_is_not_missed(town: Town):
    job = await town.create(cron="0 * * * *", catch_up="skip")
    await town.look(HOUR + 59)
    assert len(await town.fires(job)) == 1


async def test_all_that_was_missed_is_made_up_for_up_to_the_cap(found: Founder):
    town = await found(cron_catch_up_max=3)
    job = await town.create(cron="* * * * *", catch_up="all")
    await town.look(10 * MINUTE)
    now = town.clock.now()
    assert await town.fires(job) == [now - 2 * MINUTE * SECOND, now - MINUTE * SECOND, now]


@pytest.mark.parametrize(
    ("day", "fired"),
    [((2027, 3, 28), (2027, 3, 28, 3, 0)), ((2027, 10, 31), (2027, 10, 31, 2, 30))],
    ids=["forward", "back"],
)
async def test_appendix_c_17_a_fixed_time_fires_once_on_the_days_on_which_clocks_are_set(
    town: Town, day: Any, fired: Any
):
    turn_to(town.clock, at(BERLIN, *day))
    job = await town.create(cron="30 2 * * *", timezone=BERLIN)
    for _ in range(23 * 4):
        await town.look(15 * MINUTE)
    assert await town.fires(job) == [at(BERLIN, *fired)]


# --- overlap ----------------------------------------------------------------------------------------------------------


async def test_fires_that_may_overlap_start_beside_each_other(town: Town):
    job = await town.create(cron="* * * * *")
    for _ in range(3):
        await town.look(MINUTE)
    assert [run.state for run in await town.runs_of(job)] == ["queued"] * 3


async def test_who_skips_starts_nothing_while_the_run_of_the_fire_before_is_unfinished(town: Town, told: list):
    job = await town.create(cron="* * * * *", overlap="skip")
    await town.look(MINUTE)
    (run,) = await town.take()
    await town.look(MINUTE)
    await town.stop(run.run_id, "pause")
    await town.look(MINUTE)
    assert len(await town.runs_of(job)) == 1, "what is asked to pause is unfinished, too"
    assert [fields["run_id"] for name, fields in told if name == "cron.skipped"] == [run.run_id] * 2
    await town.finish(run, o.Completed())
    await town.look(MINUTE)
    assert [run.state for run in await town.runs_of(job)] == ["completed", "queued"]


async def test_runs_that_were_triggered_otherwise_do_not_keep_a_fire_from_starting(town: Town):
    job = await town.create(cron="* * * * *", overlap="skip")
    await town.submit(job)
    await town.look(MINUTE)
    assert [run.spec.triggered_by for run in await town.runs_of(job)] == ["manual", "cron"]


async def test_who_cancels_ends_the_unfinished_run_and_starts_the_next(town: Town):
    job = await town.create(cron="* * * * *", overlap="cancel")
    await town.look(MINUTE)
    await town.look(MINUTE)
    first, second = await town.runs_of(job)
    assert (first.state, first.reason, second.state) == ("cancelled", "overlap", "queued")
    assert (await town.data(first.run_id, "run.cancelled"))["note"] == "overlap"
    (run,) = await town.take()
    await town.look(MINUTE)
    asked = await town.run(run.run_id)
    assert (asked.state, asked.stop, asked.reason) == ("executing", "cancel", "overlap")
    await town.finish(asked, o.Stopped())
    assert [run.state for run in await town.runs_of(job)] == ["cancelled", "cancelled", "queued"]
    assert (await town.runs_of(job))[1].reason == "overlap"


@pytest.mark.parametrize(("overlap", "made"), [("allow", [1, 2, 3]), ("skip", [1]), ("cancel", [3])])
async def test_fires_that_are_made_up_for_together_overlap_each_other(town: Town, overlap: str, made: list[int]):
    job = await town.create(cron="0 * * * *", catch_up="all", overlap=overlap)
    begun = town.clock.now()
    await town.look(3 * HOUR)
    assert await town.fires(job) == [begun + hours * HOUR * SECOND for hours in made]


async def test_a_fire_takes_and_frees_slots_like_any_other_run(town: Town):
    job = await town.create(cron="* * * * *", overlap="cancel", max_concurrency=1)
    for _ in range(3):
        await town.look(MINUTE)
    await town.engine.commit.idle()
    assert [run.state for run in await town.runs_of(job)] == ["cancelled", "cancelled", "queued"]
    assert len(await town.take(5)) == 1
    await town.look(MINUTE)
    assert (await town.runs_of(job))[-1].held_by == f"job:{job.job_id}", "the former run executes until it confirms"


# --- jobs that change -------------------------------------------------------------------------------------------------


async def test_a_disabled_job_does_not_fire_and_begins_from_now_when_it_is_enabled(town: Town):
    job = await town.change(await town.create(cron="* * * * *", catch_up="all"), enabled=False)
    schedule = await town.schedule(job)
    assert schedule is not None
    assert schedule.next_fire_at is None
    await town.look(HOUR)
    job = await town.change(job, enabled=True)
    await town.look()
    assert await town.fires(job) == []
    await town.look(MINUTE)
    assert await town.fires(job) == [town.clock.now()]


@pytest.mark.parametrize("change", [{"cron": "*/2 * * * *"}, {"timezone": BERLIN}])
async def test_a_changed_schedule_begins_from_now(town: Town, change: dict[str, str]):
    job = await town.create(cron="* * * * *", catch_up="all")
    town.clock.advance(HOUR)
    job = await town.change(job, **change)
    await town.look()
    assert await town.fires(job) == []
    await town.look(2 * MINUTE)
    assert (await town.fires(job))[-1] == town.clock.now()


async def test_other_changes_leave_what_is_due(town: Town):
    job = await town.create(cron="0 * * * *")
    town.clock.advance(HOUR)
    due_at = town.clock.now()
    job = await town.change(job, max_attempts=7, catch_up="all")
    await town.look()
    assert await town.fires(job) == [due_at]
    assert (await town.runs_of(job))[0].spec.max_attempts == 7


async def test_a_job_without_cron_any_more_and_a_deleted_one_fire_no_more(town: Town):
    ended, deleted = [await town.create(slug, cron="* * * * *") for slug in ("ended", "deleted")]
    await town.change(ended, cron=None)
    await town.engine.jobs.delete(ADMIN, deleted)
    await town.look(HOUR)
    for job in (ended, deleted):
        assert await town.schedule(job) is None
        assert await town.fires(job) == []


@pytest.mark.parametrize("change", [{"payload_template": {"v": 2}}, {"enabled": False}, {"cron": "5 * * * *"}, None])
async def test_a_fire_of_a_job_that_changed_after_the_look_is_not_made(town: Town, change: dict[str, Any] | None):
    job = await town.create(cron="* * * * *", payload_template={"v": 1})
    town.clock.advance(MINUTE)
    (seen,) = [due(row) for row in await town.store.fetch(DUE, at=town.clock.now(), limit=10)]
    if change is None:
        await town.engine.jobs.delete(ADMIN, job)
    else:
        await town.change(job, **change)
    command = town.order(job, triggered_by="cron")
    fire = Fire(seen=seen.schedule, next_fire_at=None, submits=(command,), fired_at=(town.clock.now(),))
    assert await town.engine.commit.apply(fire) is None
    assert await town.runs_of(job) == []
    await town.look()
    assert await town.payloads(job) == ([{"v": 2}] if change == {"payload_template": {"v": 2}} else [])


async def test_one_fire_that_is_asked_for_twice_is_made_once(town: Town):
    job = await town.create(cron="* * * * *")
    town.clock.advance(MINUTE)
    (seen,) = [due(row) for row in await town.store.fetch(DUE, at=town.clock.now(), limit=10)]
    fires = [
        Fire(seen=seen.schedule, next_fire_at=None, submits=(town.order(job),), fired_at=(town.clock.now(),))
        for _ in range(2)
    ]
    answers = await town.engine.commit.apply_all(fires)
    assert [answer is None for answer in answers] == [False, True]
    assert len(await town.runs_of(job)) == 1


# --- what stands in the way -------------------------------------------------------------------------------------------


async def test_a_fire_whose_run_cannot_be_made_is_told_and_the_next_one_is_tried(found: Founder, told: list):
    town = await found(body_max_bytes=2000)
    job = await town.create(cron="* * * * *", payload_template={"much": "x" * 3000})
    other = await town.create("other", cron="* * * * *")
    await town.look(MINUTE)
    assert [await town.fires(each) for each in (job, other)] == [[], [town.clock.now()]]
    assert [(name, fields["code"]) for name, fields in told if "job_id" in fields and name == "cron.refused"] == [
        ("cron.refused", "request.too_large")
    ]
    schedule = await town.schedule(job)
    assert schedule is not None
    assert schedule.next_fire_at == town.clock.now() + MINUTE * SECOND
    await town.change(job, payload_template={})
    await town.look(MINUTE)
    assert await town.fires(job) == [town.clock.now()]


async def test_a_schedule_whose_job_is_gone_is_told_and_looked_at_no_more(town: Town, told: list):
    job, other = [await town.create(slug, cron="* * * * *") for slug in ("gone", "other")]
    await town.store.write(lambda tx: tx.fetch(LOSE_JOB, row=job.job_id))
    await town.look(MINUTE)
    await town.look(MINUTE)
    assert [fields for name, fields in told if name == "cron.orphaned"] == [{"job_id": job.job_id}]
    assert len(await town.fires(other)) == 2


async def test_more_schedules_than_fit_into_a_round_all_fire(found: Founder):
    town = await found(cron_batch=2)
    made = [await town.create(f"job-{n}", cron="* * * * *") for n in range(5)]
    town.clock.advance(MINUTE)
    await town.round_of(town.engine.cron.loop)
    assert sum([len(await town.fires(job)) for job in made]) == 2
    await town.look()
    assert [len(await town.fires(job)) for job in made] == [1] * 5


async def test_appendix_c_30_a_clock_that_jumps_ahead_fires_nothing_before_it_has_stood_for_a_lease(town: Town):
    job = await town.create(cron="* * * * *")
    town.clock.jump(24 * HOUR)
    await town.look()
    assert await town.fires(job) == []
    town.clock.jump(-24 * HOUR)
    await town.look(town.settings.lease_s)
    assert await town.fires(job) == [], "it was set right again: nothing has come due"
    await town.look(30)
    assert len(await town.fires(job)) == 1


async def test_a_clock_that_is_set_back_fires_nothing_twice(town: Town):
    job = await town.create(cron="* * * * *", catch_up="all")
    await town.look(2 * MINUTE)
    town.clock.jump(-2 * MINUTE)
    for _ in range(4):
        await town.look(MINUTE)
    fires = await town.fires(job)
    assert len(fires) == len(set(fires)) == 4


# --- the loop, and who asks -------------------------------------------------------------------------------------------


async def test_the_loop_hears_of_a_new_job_and_comes_when_it_fires(found: Founder):
    town = await found(cron_poll_s=600)
    loop = town.engine.cron.loop
    loop.start()
    await until(lambda: loop.rounds == 1)
    job = await town.create(cron="* * * * *")
    await until(lambda: loop.rounds == 2)
    town.clock.advance(MINUTE)
    await until(lambda: loop.rounds == 3)
    assert await town.fires(job) == [town.clock.now()]


async def test_the_outlook_tells_the_fires_to_come(town: Town):
    job = await town.create(cron="0 12 * * *", timezone=BERLIN)
    outlook = await town.engine.schedules.outlook(ADMIN, job, 3)
    noons = [at(BERLIN, 2027, 1, day, 12) for day in (15, 16, 17)]
    assert (outlook.schedule.next_fire_at, outlook.upcoming) == (noons[0], noons)
    disabled = await town.change(job, enabled=False)
    assert (await town.engine.schedules.outlook(ADMIN, disabled, 3)).upcoming == []
    with pytest.raises(Conflict, match="no schedule"):
        await town.engine.schedules.outlook(ADMIN, await town.create("plain"), 3)
    stranger = ADMIN.__class__(kind="user", id="user_2", org_id="org_2", scopes=ADMIN.scopes)
    with pytest.raises(NotFound):
        await town.engine.schedules.outlook(stranger, job, 3)


@pytest.mark.parametrize(
    "fields", [{"cron": "61 * * * *"}, {"cron": "* * * * *", "timezone": "Mars/Olympus"}, {"timezone": BERLIN}]
)
async def test_a_schedule_that_cannot_be_is_refused_by_its_field(town: Town, fields: dict[str, Any]):
    with pytest.raises(InvalidRequest) as refused:
        await town.create(**fields)
    assert [field.path for field in refused.value.fields] == [list(fields)[-1]]


async def test_a_template_that_only_looks_the_same_is_a_change(town: Town):
    job = await town.create(cron="* * * * *", payload_template={"n": 1})
    assert (await town.change(job, payload_template={"n": True})).version == 2
    assert (await town.change(job, payload_template={"n": True})).version == 2
