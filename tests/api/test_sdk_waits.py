"""Runs behind endpoints that wait for events: what their code is told, and who hears of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.accepted import Scene, scene
from tests.api.served import ok, refused
from tests.executors.endpoint import Received, answer


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(tmp_path_factory.mktemp("waits")) as made:
        await made.job()
        yield made


async def send(world: Scene, key: str, payload: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    body = {} if payload is None else {"payload": payload}
    sent: dict[str, Any] = await ok(world.server.admin.post(f"/v1/events/{key}/send", json=body, **more))
    return sent


async def test_appendix_c_15_the_payload_of_an_event_is_delivered_to_the_resumed_attempt(world: Scene):
    run = await world.accepted({"order": 1})
    waiting = await run.call("wait-for-event", {"event_key": "paid-1"}, 200)
    assert (waiting["status"], waiting["event_key"], waiting["payload"]) == ("waiting", "paid-1", None)
    assert waiting["expires_at"] > waiting["trigger_id"][:0]
    shown = await world.run(run.run_id)
    assert (shown["status"], shown["state"], shown["reason"]) == ("waiting", "waiting", "event")
    await refused(run.client.post(run.path("log"), json={"message": "late"}), 401, "auth.stale_token")
    sent = await send(world, "paid-1", {"amount": 12, "password": "hunter2-hunter2"})
    assert (sent["woken"], sent["triggered"], sent["kept"]) == ([run.run_id], [], False)
    again = await world.entrusted(run.run_id, times=2)
    assert (await world.run(run.run_id))["attempt"] == 1
    received = await again.call("wait-for-event", {"event_key": "paid-1"}, 200)
    assert received["status"] == "received"
    assert received["payload"] == {"amount": 12, "password": "hunter2-hunter2"}
    assert (await again.call("complete", {"result": received["payload"]}, 200))["status"] == "completed"


async def test_appendix_c_16_an_endpoint_that_accepted_a_run_completes_it_by_a_later_call(world: Scene):
    run = await world.accepted()
    assert (await world.run(run.run_id))["status"] == "executing"
    assert (await run.call("complete", {"result": {"late": True}}, 200))["status"] == "completed"
    ended = await world.run(run.run_id)
    assert (ended["status"], ended["result"]) == ("completed", {"late": True})


async def test_appendix_c_16_an_endpoint_that_accepted_a_run_and_is_silent_loses_it(tmp_path: Path):
    async with scene(tmp_path, reaper_s=0.05) as world:
        await world.job("silent", heartbeat_timeout_secs=1, max_attempts=1)
        run = await world.accepted(slug="silent")
        ended = await world.ended(run.run_id)
        assert (ended["status"], ended["error_class"]) == ("crashed", "WorkerLost")


async def test_what_an_endpoint_answers_after_it_let_its_run_wait_is_ignored(tmp_path: Path):
    async with scene(tmp_path) as world:
        asked: list[dict[str, Any]] = []

        async def respond(received: Received, writer: asyncio.StreamWriter) -> None:
            client = world.server.client(received.headers["runwright-run-token"])
            run_id = received.headers["runwright-run-id"]
            path = f"/sdk/v1/runs/{run_id}/wait-for-event"
            asked.append(await ok(client.post(path, json={"key": "go", "timeout_secs": 60})))
            waits = asked[-1]["status"] == "waiting"
            writer.write(answer(b'{"n": 1}' if waits else b'{"n": 2}', status="500 Oops" if waits else "200 OK"))

        world.endpoint.respond = respond
        await world.job("inline")
        run = await ok(world.server.admin.post("/v1/jobs/inline/trigger"), 201)
        await world.seen(run["id"], "run.waiting")
        await send(world, "go", {"a": 1})
        ended = await world.ended(run["id"])
        assert (ended["status"], ended["result"], ended["attempt"]) == ("completed", {"n": 2}, 1)
        assert [each["status"] for each in asked] == ["waiting", "received"]


async def test_an_event_that_was_sent_before_is_there_at_once(world: Scene):
    run = await world.accepted()
    assert (await send(world, "early", {"n": 1}))["kept"] is True
    answered = await run.call("wait-for-event", {"event_key": "early", "name": "first"}, 200)
    assert answered["status"] == "queued"
    again = await world.entrusted(run.run_id, times=2)
    first = await again.call("wait-for-event", {"event_key": "early", "name": "first"}, 200)
    assert (first["status"], first["payload"]) == ("received", {"n": 1})
    second = await again.call("wait-for-event", {"event_key": "early", "name": "second"}, 200)
    assert second["status"] == "waiting"


async def test_a_wait_past_its_limit_is_timed_out(tmp_path: Path):
    async with scene(tmp_path) as world:
        await world.job()
        run = await world.accepted()
        await run.call("wait-for-event", {"event_key": "never", "timeout_secs": 1}, 200)
        ended = await world.ended(run.run_id)
        assert (ended["status"], ended["error_class"]) == ("timed_out", "WaitTimeout")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"event_key": ""},
        {"event_key": "x" * 513},
        {"event_key": "a", "timeout_secs": 0},
        {"event_key": "a", "timeout_secs": 2_592_001},
        {"event_key": "a", "key": "a"},
        {"event_key": "a\x00"},
        {"event_key": "a/b"},
        {"event_key": ".."},
    ],
)
async def test_a_wait_that_says_nonsense_is_refused_and_the_run_executes_on(world: Scene, body: dict[str, Any]):
    run = await world.accepted()
    await refused(run.client.post(run.path("wait-for-event"), json=body), 422, "request.invalid")
    assert (await world.run(run.run_id))["status"] == "executing"


async def test_a_stop_that_was_asked_for_comes_before_a_wait(world: Scene):
    run = await world.accepted()
    asking = asyncio.create_task(world.server.admin.post(f"/v1/runs/{run.run_id}/pause"))
    await world.seen(run.run_id, "run.pause_requested")
    answered = await run.call("wait-for-event", {"event_key": "go"}, 200)
    assert answered["status"] == "paused"
    await asking


async def test_events_start_jobs_and_say_which_runs(world: Scene):
    trigger = {"prefix": "user.", "filter": {"kind": "new"}, "payload_template": {"name": "{{payload.name}}"}}
    await world.job("welcome", event_triggers=[trigger])
    sent = await send(world, "user.created", {"kind": "new", "name": "Ada"}, headers={"Idempotency-Key": "once"})
    again = await send(world, "user.created", {"kind": "new", "name": "Ada"}, headers={"Idempotency-Key": "once"})
    assert again == {**sent, "idempotency_hit": True}
    shown = await world.run(sent["triggered"][0])
    assert (shown["triggered_by"], shown["payload"]) == ("event", {"name": "Ada"})
    listed = await ok(world.server.admin.get("/v1/runs", params={"project_id": "default", "triggered_by": "event"}))
    assert [each["id"] for each in listed] == sent["triggered"]


async def test_an_event_to_a_prefix_needs_no_body(world: Scene):
    run = await world.accepted()
    await run.call("wait-for-event", {"event_key": "a b.c"}, 200)
    sent = await ok(world.server.admin.post("/v1/events/prefix/a%20b/send"))
    assert sent["woken"] == [run.run_id]
    await refused(world.server.admin.post(f"/v1/events/{'k' * 513}/send"), 422, "request.invalid")
