"""The client and the handlers' runtime against the real server, in this process."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runwright import serving
from runwright.client.api import AsyncClient
from runwright.client.errors import ApiError
from runwright.client.models import Run
from runwright.config import load
from tests.cli.live import JOBS
from tests.client.both import Connect


@pytest.fixture
async def client(connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncClient]:
    """Serve the test jobs on a free port, and call them."""
    (tmp_path / "live_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(tmp_path)
    settings = load({}, None, {"data_dir": tmp_path / "data", "port": 0, "worker": ("live_jobs:app",)})
    async with serving.running(settings) as running, connect(running.url, running.api_key) as client:
        yield client


async def holding(client: AsyncClient, until: Path) -> Run:
    """Start a run that holds until the file is there, and wait until it does."""
    run = await client.jobs.trigger("hold", {"until": str(until)})
    await first(client, run, "log")
    return run


async def first(client: AsyncClient, run: Run, type: str) -> int:
    async for event in client.runs.stream(run.id, run.last_seq):
        if event.type == type:
            return event.seq
    raise AssertionError(f"the run ended without {type}")


async def test_a_run_is_triggered_followed_and_read(client: AsyncClient):
    run = await client.jobs.trigger("add", {"a": 1, "b": 2}, tags={"env": "test"})
    events = [event async for event in client.runs.stream(run.id)]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[-1].type == "run.completed"
    assert {"run.progress", "step.completed", "output.saved"} <= {event.type for event in events}
    listed = await client.runs.events(run.id, limit=2).all()
    assert [event.seq for event in listed] == [event.seq for event in events]
    ended = await client.runs.wait(run.id)
    assert (ended.finished, ended.result, ended.tags) == (True, {"total": 3}, {"env": "test"})
    assert [output.value for output in await client.runs.outputs(run.id).all()] == [{"total": 3}]
    assert [attempt.attempt for attempt in await client.runs.attempts(run.id).all()] == [1]
    effects = await client.runs.effects(run.id)
    assert (effects.safe_to_resume, effects.finished) == (True, ["add"])


async def test_a_paused_run_goes_on_where_it_was(client: AsyncClient, tmp_path: Path):
    run = await holding(client, tmp_path / "let-go")
    assert (await client.runs.pause(run.id)).state == "paused"
    assert (await client.runs.pause(run.id)).state == "paused"
    (tmp_path / "let-go").write_text("")
    await client.runs.resume(run.id)
    ended = await client.runs.wait(run.id, timeout_s=30)
    assert ended.result == {"lease_epoch": 1}, "its finished step was not run again"
    assert ended.lease_epoch == 2


async def test_a_cancelled_run_is_cancelled_and_stays_so(client: AsyncClient, tmp_path: Path):
    run = await holding(client, tmp_path / "never")
    assert (await client.runs.cancel(run.id, reason="enough")).state == "cancelled"
    assert (await client.runs.cancel(run.id)).state == "cancelled"
    again = await client.runs.replay(run.id, payload={"until": str(tmp_path)})
    assert again.replay_of == run.id
    assert (await client.runs.wait(again.id, timeout_s=30)).state == "completed"
    with pytest.raises(ApiError) as refused:
        await client.runs.cancel(again.id)
    assert refused.value.status == 409


async def test_a_sleep_parks_the_run(client: AsyncClient):
    run = await client.jobs.trigger("nap")
    ended = await client.runs.wait(run.id, timeout_s=30)
    assert ended.result == {"lease_epoch": 2}
    assert ended.attempt == 1
    assert "run.waiting" in {event.type for event in await client.runs.events(run.id).all()}


@pytest.mark.parametrize(
    ("job", "attempts", "error_class", "failure_event"),
    [("not-json", 1, "ResultNotJson", None), ("pay", 2, "StepOutcomeUnknown", "step.unknown")],
)
async def test_failures_for_good_are_not_retried(client: AsyncClient, job, attempts, error_class, failure_event):
    run = await client.jobs.trigger(job)
    ended = await client.runs.wait(run.id, timeout_s=30)
    assert (ended.state, ended.attempt, ended.error_class) == ("failed", attempts, error_class)
    types = {event.type for event in await client.runs.events(run.id).all()}
    assert failure_event is None or failure_event in types


async def test_the_same_idempotency_key_makes_one_run(client: AsyncClient):
    runs = await asyncio.gather(
        *(client.jobs.trigger("add", {"a": 1, "b": 2}, idempotency_key="one") for _ in range(20))
    )
    assert len({run.id for run in runs}) == 1
    assert sum(run.idempotency_hit for run in runs) == 19


async def test_many_runs_are_triggered_at_once_and_listed_by_pages(client: AsyncClient):
    done = await client.jobs.trigger_bulk("add", [{"payload": {"a": n, "b": 1}, "tags": {"n": "x"}} for n in range(7)])
    made = [item.id for item in done.results]
    listed = [run.id async for run in client.runs.list(limit=2, tags={"n": "x"})]
    assert sorted(listed) == sorted(filter(None, made))
    for run_id in made:
        assert run_id is not None
        assert (await client.runs.wait(run_id, timeout_s=30)).state == "completed"


async def test_jobs_are_made_changed_and_deleted(client: AsyncClient):
    job = await client.jobs.create(slug="made", max_attempts=5, retry_delays_secs=[1, 2.5], retry_strategy="custom")
    assert (job.max_attempts, job.retry_delays_secs) == (5, [1, 2.5])
    changed = await client.jobs.update("made", max_concurrency=3)
    assert (changed.version, changed.max_concurrency) == (2, 3)
    assert (await client.jobs.update(job.id, max_concurrency=None)).max_concurrency is None
    assert [version.version for version in await client.jobs.versions("made").all()] != []
    assert "made" in [each.slug async for each in client.jobs.list(limit=1)]
    await client.jobs.delete("made")
    with pytest.raises(ApiError) as missing:
        await client.jobs.get("made")
    assert missing.value.code == "jobs.not_found"


async def test_a_key_may_what_its_scopes_say_and_nothing_once_revoked(connect: Connect, client: AsyncClient):
    key = await client.keys.create(name="reader", scopes=["runs:read"])
    async with connect(client.url, key.token) as reader:
        assert (await reader.me()).scopes == ["runs:read"]
        await reader.runs.list().page()
        with pytest.raises(ApiError) as refused:
            await reader.jobs.trigger("add")
        assert refused.value.code == "auth.missing_scope"
        rotated = await client.keys.rotate(key.id, grace_s=0)
        with pytest.raises(ApiError) as refused:
            await reader.me()
        assert refused.value.code == "auth.unauthenticated"
    assert rotated.token is not None
    await client.keys.revoke(rotated.id)
    assert [each.token for each in await client.keys.list().all()] == [None] * 3


async def test_tenants_are_read_and_changed(client: AsyncClient):
    me = await client.me()
    assert me.user is not None
    project = await client.projects.create(slug="blue", name="Blue")
    assert (await client.projects.update("blue", weight=2.0)).weight == 2.0
    assert {each.slug async for each in client.projects.list(limit=1)} == {"default", "blue"}
    user = await client.users.create(name="Ada", email="ada@example.org")
    assert (await client.users.update(user.id, enabled=False)).enabled is False
    assert (await client.organizations.list().all())[0].slug == "default"
    assert (await client.projects.get(project.id)).slug == "blue"
    assert (await client.health()).status == "ok"


async def test_what_a_decorator_accepts_the_server_accepts(client: AsyncClient):
    options: dict[str, Any] = {
        "slug": "a_b-1",
        "name": "n" * 255,
        "description": "d" * 2000,
        "queue": "Q.1_-",
        "max_attempts": 100,
        "timeout_secs": 86_400,
        "retry_strategy": "custom",
        "retry_initial_delay_secs": 0.5,
        "retry_max_delay_secs": 2_592_000,
        "retry_delays_secs": [0],
        "retry_jitter": "full",
        "max_concurrency": 1_000_000,
        "max_concurrency_per_key": 1,
        "priority": 10,
        "rerun_unknown_steps": True,
    }
    made = await client.jobs.create(**options)
    assert {name: made.raw[name] for name in options} == options
