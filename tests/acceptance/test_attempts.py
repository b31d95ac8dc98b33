"""Attempts: what is retried and when, what ends at once, and what a job may say about it, run by run."""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from tests.acceptance.gate import Gate
from tests.acceptance.speech import Json, Speech, later, refused, said

pytestmark = pytest.mark.xdist_group("acceptance-jobs")


def millis(run: Json) -> list[int]:
    """Return how long each retry was put off."""
    return [event["data"]["delay_ms"] for event in run["events"] if event["type"] == "run.retrying"]


async def attempts(api: Speech, run_id: str) -> list[tuple[int, str]]:
    return [(each["attempt"], each["outcome"]) for each in await api.listed(f"/v1/runs/{run_id}/attempts")]


async def with_events(api: Speech, run: Json) -> Json:
    return {**run, "events": await api.events(run["id"])}


async def test_a_failure_is_retried_until_it_works(api: Speech):
    run = await api.done(await api.job("stumble", max_attempts=5), {"times": 2})
    assert (run["status"], run["attempt"], run["result"], run["error"]) == ("completed", 3, {"attempt": 3}, None)
    assert await attempts(api, run["id"]) == [(1, "failed"), (2, "failed"), (3, "completed")]
    types = [event["type"] for event in await api.events(run["id"])]
    assert types == [
        *["run.created", "run.started", "run.retrying", "run.queued"],
        *["run.started", "run.retrying", "run.queued"],
        *["run.started", "run.completed"],
    ]


async def test_attempts_that_are_used_up_end_in_the_dead_letters(api: Speech):
    run = await api.done(await api.job("stumble", max_attempts=3), {})
    assert (run["status"], run["attempt"], run["reason"]) == ("dead_letter", 3, "error")
    assert (run["error"], run["error_class"]) == ("stumbled", "ValueError")
    assert run["dead_lettered_at"] == run["finished_at"] == run["failed_at"]
    end = (await api.events(run["id"]))[-1]
    assert (end["level"], end["data"]["dead_lettered"], end["data"]["attempt"]) == ("error", True, 3)
    assert "stumbled" in end["data"]["traceback"]


async def test_what_cannot_be_retried_ends_at_once(api: Speech):
    run = await api.done(await api.job("stumble", max_attempts=5), {"how": "rejected"})
    assert (run["status"], run["reason"], run["attempt"]) == ("dead_letter", "rejected", 1)


@pytest.mark.parametrize(
    ("options", "delays"),
    [
        ({"retry_strategy": "fixed", "retry_initial_delay_secs": 0.02}, [20, 20, 20]),
        ({"retry_strategy": "linear", "retry_initial_delay_secs": 0.02}, [20, 40, 60]),
        ({"retry_strategy": "exponential", "retry_initial_delay_secs": 0.02}, [20, 40, 80]),
        (
            {"retry_strategy": "exponential", "retry_initial_delay_secs": 0.02, "retry_max_delay_secs": 0.03},
            [20, 30, 30],
        ),
        ({"retry_strategy": "custom", "retry_delays_secs": [0.03, 0.01]}, [30, 10, 10]),
    ],
)
async def test_appendix_c_6_the_delays_are_those_of_the_strategy(api: Speech, options: Json, delays: list[int]):
    job = await api.job("stumble", max_attempts=4, retry_jitter="none", **options)
    run = await with_events(api, await api.done(job, {"how": "numbered"}))
    assert millis(run) == delays
    for event in run["events"]:
        if event["type"] == "run.retrying":
            queued = next(each for each in run["events"] if each["seq"] == event["seq"] + 1)
            assert later(event["created_at"], milliseconds=event["data"]["delay_ms"]) <= later(queued["created_at"])


async def test_a_trigger_may_say_otherwise_than_its_job(api: Speech):
    job = await api.job("stumble", max_attempts=2, retry_initial_delay_secs=60, retry_jitter="none")
    run = await api.done(
        job,
        {"how": "numbered"},
        max_attempts_override=4,
        retry_backoff="linear",
        retry_initial_delay_secs=0.01,
        retry_max_delay_secs=0.02,
    )
    assert run["attempt"] == 4
    assert millis(await with_events(api, run)) == [10, 20, 20]
    single = await api.done(job, {}, max_attempts_override=1)
    assert (single["status"], single["dead_lettered_at"]) == ("failed", None)


async def test_jitter_moves_a_delay_within_its_bounds(api: Speech):
    proportional = await api.job("stumble", retry_strategy="fixed", retry_initial_delay_secs=0.1)
    full = await api.job("stumble", retry_strategy="fixed", retry_initial_delay_secs=0.1, retry_jitter="full")
    runs = await asyncio.gather(*(api.done(job, {"times": 1}) for job in (proportional, full) for _ in range(8)))
    delays = [millis(await with_events(api, run))[0] for run in runs]
    assert all(80 <= delay <= 120 for delay in delays[:8])
    assert all(0 <= delay <= 100 for delay in delays[8:])
    assert len(set(delays)) > 4


async def test_a_handler_may_ask_for_a_later_retry_up_to_the_longest_delay(api: Speech):
    job = await api.job("stumble", retry_max_delay_secs=0.2, retry_jitter="none")
    soon = await with_events(api, await api.done(job, {"how": "later", "after_s": 0.1, "times": 1}))
    far = await with_events(api, await api.done(job, {"how": "later", "after_s": 3600, "times": 1}))
    assert (millis(soon), millis(far)) == ([100], [200])


async def test_the_same_error_again_and_again_is_a_poison_pill(api: Speech):
    job = await api.job("stumble", max_attempts=10, poison_pill_threshold=3)
    assert (await api.done(job, {"how": "error"}))["attempt"] == 3
    other = await api.done(
        await api.job("stumble", max_attempts=4, poison_pill_threshold=3), {"how": "later", "after_s": 0}
    )
    assert other["attempt"] == 3


async def test_an_attempt_that_takes_too_long_is_timed_out_and_retried(api: Speech):
    job = await api.job("stumble", max_attempts=2, timeout_secs=1)
    run = await api.done(job, {"how": "slow", "times": 1})
    assert (run["status"], run["attempt"]) == ("completed", 2)
    first = (await api.listed(f"/v1/runs/{run['id']}/attempts"))[0]
    assert (first["error_class"], first["outcome"]) == ("Timeout", "failed")
    assert 1_000_000 <= first["duration_us"] < 10_000_000
    shorter = await api.done(await api.job("stumble", max_attempts=1), {"how": "slow"}, timeout_secs_override=1)
    assert (shorter["status"], shorter["timeout_secs_override"]) == ("timed_out", 1)


async def test_a_run_begins_when_it_is_due_and_not_before(api: Speech):
    job = await api.job("echo")
    now = (await api.trigger(job))["created_at"]
    due = later(now, seconds=0.6)
    delayed = await api.trigger(job, {"a": 1}, scheduled_at=due)
    assert (delayed["status"], delayed["reason"], delayed["started_at"]) == ("delayed", "delay", None)
    run = await api.ended(delayed["id"])
    assert datetime.fromisoformat(run["started_at"]) >= datetime.fromisoformat(due)
    past = await api.trigger(job, scheduled_at="2020-01-01T00:00:00Z")
    assert past["status"] in ("queued", "executing")


async def test_a_schedule_is_at_most_a_year_away(api: Speech):
    job = await api.job("echo")
    now = (await api.trigger(job))["created_at"]
    path = f"/v1/jobs/{job}/trigger"
    details = await refused(api.client.post(path, json={"scheduled_at": later(now, days=400)}), 422, "request.invalid")
    assert details["fields"][0]["path"] == "scheduled_at"
    far = await api.trigger(job, scheduled_at=later(now, days=360))
    assert far["status"] == "delayed"
    await said(api.client.delete(f"/v1/runs/{far['id']}"))


async def test_a_run_that_does_not_begin_in_time_expires_and_one_that_began_does_not(api: Speech, gate: Gate):
    nobody = await api.job("nobody")
    late = await api.trigger(nobody, ttl_secs=1)
    by_job = await api.trigger(await api.job("nobody", run_ttl_secs=1))
    held = await api.job("hold", max_concurrency=1)
    first = await api.trigger(held, {"gate": gate.port}, ttl_secs=1)
    second = await api.trigger(held, {"gate": gate.port}, ttl_secs=1)
    now = late["created_at"]
    delayed = await api.trigger(nobody, scheduled_at=later(now, hours=1), ttl_secs=60)
    assert datetime.fromisoformat(late["expires_at"]) == datetime.fromisoformat(later(late["created_at"], seconds=1))
    assert datetime.fromisoformat(delayed["expires_at"]) == datetime.fromisoformat(later(now, hours=1, seconds=60))
    for run in (late, by_job, second):
        ended = await api.ended(run["id"])
        assert (ended["status"], ended["reason"], ended["attempt"]) == ("expired", "ttl", 1)
        assert ended["started_at"] is None
        assert (await api.events(run["id"]))[-1]["type"] == "run.expired"
    gate.open()
    assert (await api.ended(first["id"]))["status"] == "completed"
    await said(api.client.delete(f"/v1/runs/{delayed['id']}"))


async def test_a_retry_does_not_expire(api: Speech):
    job = await api.job("stumble", max_attempts=2, retry_initial_delay_secs=1.2, retry_jitter="none")
    run = await api.done(job, {"times": 1}, ttl_secs=1)
    assert (run["status"], run["attempt"]) == ("completed", 2)


async def test_a_sleeping_run_holds_no_attempt_and_repeats_none(api: Speech):
    run = await api.done(await api.job("nap", max_attempts=1), {"secs": 0.3})
    assert (run["status"], run["attempt"], run["lease_epoch"]) == ("completed", 1, 2)
    assert await attempts(api, run["id"]) == [(1, "parked"), (1, "completed")]
    assert run["waiting_ms"] > 0
    assert run["duration_ms"] >= 300


async def test_a_dry_run_shows_the_run_and_makes_none(api: Speech):
    job = await api.job("echo", max_attempts=5, priority=3)
    shown = await api.trigger(job, {"a": 1}, dry_run=True, status=200)
    assert (shown["dry_run"], shown["payload"], shown["priority"], shown["status"]) == (True, {"a": 1}, 3, "queued")
    assert await api.runs(job_id=job) == []
    await refused(api.client.get(f"/v1/runs/{shown['id']}"), 404, "runs.not_found")
    wrong: dict[str, Any] = {"dry_run": True, "retry_backoff": "custom"}
    await refused(api.client.post(f"/v1/jobs/{job}/trigger", json=wrong), 422, "request.invalid")


async def test_a_disabled_job_starts_nothing(api: Speech):
    job = await api.job("echo", enabled=False)
    await refused(api.client.post(f"/v1/jobs/{job}/trigger"), 409, "jobs.disabled")
    await said(api.client.patch(f"/v1/jobs/{job}", json={"enabled": True}))
    assert (await api.done(job))["job_version"] == 2


async def test_a_run_keeps_the_version_of_its_job_that_it_began_with(api: Speech):
    job = await api.job("stumble", max_attempts=2, retry_initial_delay_secs=0.5, retry_jitter="none")
    run = await api.trigger(job, {"times": 1})
    await api.until(run["id"], "run.retrying")
    await said(api.client.patch(f"/v1/jobs/{job}", json={"max_attempts": 9, "handler": "echo"}))
    ended = await api.ended(run["id"])
    assert (ended["job_version"], ended["result"]) == (1, {"attempt": 2})
    versions = await api.listed(f"/v1/jobs/{job}/versions")
    assert [(each["version"], each["handler"]) for each in versions] == [(1, "stumble"), (2, "echo")]
