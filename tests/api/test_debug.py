"""Debug mode: what was handed to the code of an attempt and what came back is recorded, redacted and cut."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runwright import ids
from runwright.engine.captures import BODY_MAX_BYTES
from tests.api.accepted import ACCEPTED, Scene, scene
from tests.api.served import ok, refused
from tests.executors.endpoint import always, answer

SECRET = "sk-" + "x" * 30


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(tmp_path_factory.mktemp("debug")) as made:
        yield made


async def http_run(world: Scene, body: bytes, status: str = "200 OK", **order: Any) -> tuple[dict[str, Any], list[Any]]:
    """Run a job of the endpoint, which answers so; return the run and its attempts."""
    slug = ids.new_id("job", 1)[4:].replace("_", "-")
    await world.job("j" + slug, max_attempts=1)
    world.endpoint.respond = always(answer(body, status, x_api_key=SECRET, set_cookie="a=b"))
    run = await ok(world.server.admin.post(f"/v1/jobs/j{slug}/trigger", json=order), 201)
    ended = await world.ended(run["id"])
    return ended, await ok(world.server.admin.get(f"/v1/runs/{run['id']}/attempts"))


async def test_an_http_attempt_is_recorded_with_its_heads_and_bodies(world: Scene) -> None:
    order: dict[str, Any] = {"debug_mode": True, "payload": {"n": 1, "password": "hunter2!"}}
    run, (attempt,) = await http_run(world, b'{"done": true, "api_key": "%s"}' % SECRET.encode(), **order)
    assert (run["debug_mode"], run["status"]) == (True, "completed")
    request, response = attempt["exchanges"]
    assert (request["way"], request["head"]["method"], request["head"]["url"]) == (
        "request",
        "POST",
        world.endpoint.url,
    )
    assert json.loads(request["body"]) == {"n": 1, "password": "[redacted:password]"}
    assert request["head"]["headers"]["Runwright-Run-Id"] == run["id"]
    assert (response["way"], response["head"]["status"]) == ("response", 200)
    assert json.loads(response["body"])["done"] is True
    told = json.dumps([attempt, await world.events(run["id"])])
    sent = world.endpoint.received[-1].headers
    for secret in (SECRET, "hunter2!", sent["runwright-run-token"], sent["webhook-signature"], "a=b"):
        assert secret not in told


async def test_a_large_body_is_cut_after_it_was_redacted(world: Scene) -> None:
    edge = BODY_MAX_BYTES - 40
    text = "x" * edge + f" password={SECRET} " + "y" * 1000
    _, (attempt,) = await http_run(world, text.encode(), debug_mode=True)
    response = attempt["exchanges"][1]
    assert (response["truncated"], response["bytes"]) == (True, len(text))
    assert len(response["body"]) == BODY_MAX_BYTES
    assert "sk-" not in response["body"]


async def test_a_request_that_was_never_answered_is_recorded_with_its_fault(world: Scene) -> None:
    run = await http_run(world, b"", debug_mode=True)
    job = run[0]["job_id"]
    body = {"endpoint_url": "http://127.0.0.1:1/", "max_attempts": 1}
    await ok(world.server.admin.patch(f"/v1/jobs/{job}", json=body))
    failed = await ok(world.server.admin.post(f"/v1/jobs/{job}/trigger", json={"debug_mode": True}), 201)
    await world.ended(failed["id"])
    (attempt,) = await ok(world.server.admin.get(f"/v1/runs/{failed['id']}/attempts"))
    request, response = attempt["exchanges"]
    assert (request["way"], response["head"]["error_class"]) == ("request", "ConnectionFailed")


async def test_without_debug_mode_nothing_is_recorded(world: Scene) -> None:
    run, (attempt,) = await http_run(world, b"{}")
    assert (run["debug_mode"], attempt["exchanges"]) == (False, [])
    assert await world.events(run["id"], "debug.request") == []


async def test_it_is_switched_on_and_off_while_the_run_lives(world: Scene) -> None:
    admin = world.server.admin
    await world.job("later")
    world.endpoint.respond = always(ACCEPTED)
    run = await ok(admin.post("/v1/jobs/later/trigger"), 201)
    entrusted = await world.entrusted(run["id"])
    path = f"/v1/runs/{run['id']}/debug"
    assert await ok(admin.post(path)) == {"run_id": run["id"], "debug_mode": True}
    assert (await world.run(run["id"]))["debug_mode"] is True
    assert await ok(admin.post(path, json={"debug_mode": False})) == {"run_id": run["id"], "debug_mode": False}
    await entrusted.call("complete", {}, 200)
    await world.ended(run["id"])
    await refused(admin.post(path), 409, "runs.invalid_transition")


async def test_a_worker_elsewhere_is_recorded_with_what_it_was_given_and_said(world: Scene, tmp_path: Path) -> None:
    admin = world.server.admin
    await ok(admin.post("/v1/jobs", json={"slug": "by-hand", "queue": "hand", "max_attempts": 1}), 201)
    order = {"debug_mode": True, "payload": {"n": 1}, "tags": {"a": "b"}, "metadata": {"c": SECRET}}
    run = await ok(admin.post("/v1/jobs/by-hand/trigger", json=order), 201)
    worker_id = ids.new_id("wrk", 1)
    claim = {"worker_id": worker_id, "jobs": ["by-hand"], "queues": ["hand"], "slots": 1, "free": 1}
    (given,) = (await ok(admin.post("/v1/worker/claim", json=claim)))["assignments"]
    item = {
        "run_id": run["id"],
        "lease_epoch": given["lease_epoch"],
        "number": 1,
        "savings": [{"events": [{"type": "log", "message": "a line"}]}],
        "outcome": {"status": "failed", "error_class": "Odd", "message": f"password={SECRET}", "retryable": False},
    }
    answered = await ok(admin.post("/v1/worker/finish", json={"worker_id": worker_id, "items": [item]}))
    assert answered["results"][0]["code"] is None
    (attempt,) = await ok(admin.get(f"/v1/runs/{run['id']}/attempts"))
    request, response = attempt["exchanges"]
    assert json.loads(request["body"]) == {"n": 1}
    assert (request["head"]["handler"], request["head"]["tags"]) == ("by-hand", {"a": "b"})
    assert (response["head"]["outcome"], response["head"]["error_class"]) == ("failed", "Odd")
    assert SECRET not in json.dumps(attempt)
    types = [event["type"] for event in await world.events(run["id"])]
    assert types == ["run.created", "run.started", "debug.request", "log", "debug.response", "run.failed"]
