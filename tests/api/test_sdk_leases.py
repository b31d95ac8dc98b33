"""Who may call for a run, and how long: tokens and their leases, keys, and the dispatch that still waits."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runwright.api import instants
from runwright.domain.outcome import Completed
from runwright.domain.tenancy import SCOPES
from runwright.errors import StaleLease
from tests.api.accepted import Scene, scene
from tests.api.served import ok, refused

CALLS: list[tuple[str, str, Any]] = [
    ("GET", "payload", None), ("GET", "secrets", None), ("GET", "state", None),
    ("GET", "state/a", None), ("DELETE", "state/a", None),
    ("POST", "log", {"message": "x"}), ("POST", "progress", {"percent": 1}),
    ("POST", "annotate", {"annotations": {"a": "b"}}), ("POST", "heartbeat", None),
    ("POST", "checkpoint", {"state": {}}), ("POST", "output", {"key": "a", "value": 1}),
    ("POST", "usage", {"provider": "p", "model": "m"}), ("POST", "tool-call", {"tool_name": "t"}),
    ("POST", "stream", {"chunk": "c"}), ("POST", "state", {"key": "a", "value": 1}),
    ("POST", "complete", None), ("POST", "fail", {"error": "x"}),
]  # fmt: skip
NAMES = [f"{method} {verb}" for method, verb, _ in CALLS]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(tmp_path) as made:
        await made.job()
        yield made


async def each_is_refused(client, run_id: str, status: int, code: str) -> None:
    """Make every call there is, and see it refused."""
    for method, verb, body in CALLS:
        options: Any = {} if body is None else {"json": body}
        await refused(client.request(method, f"/sdk/v1/runs/{run_id}/{verb}", **options), status, code)


async def test_a_token_of_another_run_finds_nothing_in_the_words_of_an_unknown_one(world: Scene):
    one, other = await world.accepted(), await world.accepted()
    await each_is_refused(one.client, other.run_id, 404, "runs.not_found")
    unknown = "run_" + "0" * 32
    told = [(await one.client.get(f"/sdk/v1/runs/{run}/payload")).json()["message"] for run in (other.run_id, unknown)]
    assert told[0].replace(other.run_id, "") == told[1].replace(unknown, "")
    await other.call("complete", None, 200)
    await each_is_refused(one.client, other.run_id, 404, "runs.not_found")
    assert len(await world.events(other.run_id)) == 4


async def test_a_token_of_an_ended_lease_is_stale(world: Scene):
    run = await world.accepted()
    world.endpoint.respond = hold
    await run.call("fail", {"error": "again"}, 200)
    await world.seen(run.run_id, "run.started", 2)
    before = await world.events(run.run_id)
    await each_is_refused(run.client, run.run_id, 401, "auth.stale_token")
    assert await world.events(run.run_id) == before


async def hold(received, writer) -> None:
    """Answer nothing."""


async def test_a_token_of_a_run_that_waits_for_its_next_attempt_is_stale(world: Scene):
    await world.job("slow", retry_initial_delay_secs=3600)
    run = await world.accepted(slug="slow")
    assert (await run.call("fail", {"error": "later"}, 200))["state"] == "scheduled"
    await each_is_refused(run.client, run.run_id, 401, "auth.stale_token")


async def test_a_run_that_has_ended_is_gone_for_its_last_token_and_for_older_ones(world: Scene):
    old = await world.accepted()
    await old.call("fail", {"error": "again"}, 200)
    new = await world.entrusted(old.run_id, 2)
    await new.call("complete", None, 200)
    ended = await world.events(old.run_id)
    for run in (old, new):
        await each_is_refused(run.client, run.run_id, 410, "runs.ended")
    assert await world.events(old.run_id) == ended
    details = await refused(new.client.post(new.path("heartbeat")), 410, "runs.ended")
    assert details == {"state": "completed"}


async def test_a_token_that_was_not_minted_here_is_nobodys(world: Scene):
    run = await world.accepted()
    stem, signature = run.token[:-44], run.token[-43:]  # a signature may hold the character that stands before it
    lease = stem.rpartition("_")[0]
    for forged in (f"{stem}_{signature[::-1]}", f"{lease}_2_{signature}", stem, "rwt_", run.token + "x"):
        await each_is_refused(world.server.client(forged), run.run_id, 401, "auth.unauthenticated")


async def test_a_run_token_opens_no_other_route(world: Scene):
    run = await world.accepted()
    document = (await world.server.admin.get("/openapi.json")).json()["paths"]
    tried, refused_there = 0, set()
    for path, methods in document.items():
        for method, operation in methods.items():
            if path.startswith("/sdk/v1/"):
                continue
            if {"runToken": []} in operation["security"]:
                refused_there.add(f"{method} {path}")
            elif operation["security"]:
                filled = path.replace("{run_id}", run.run_id).replace("{", "").replace("}", "")
                response = await run.client.request(method, filled, json={})
                assert response.status_code == 401, f"{method} {path}: {response.text}"
                tried += 1
    assert tried > 50
    assert refused_there == {"post /api/v1/runs/{run_id}/approvals"}, "it is known there, and decides nothing"


async def test_a_token_is_taken_from_both_headers(world: Scene):
    run = await world.accepted()
    stranger = world.server.client(None)
    await ok(stranger.get(run.path("payload"), headers={"x-api-key": run.token}))
    await ok(stranger.get(run.path("payload"), headers={"authorization": f"bearer {run.token}"}))
    await refused(stranger.get(run.path("payload")), 401, "auth.unauthenticated")


# --- keys -------------------------------------------------------------------------------------------------------------


async def test_a_key_that_may_connect_workers_acts_under_the_present_lease(world: Scene):
    key = await world.server.key("workers:connect")
    run = await world.accepted({"a": 1})
    assert await ok(key.get(run.path("payload"))) == {"a": 1}
    made = await ok(key.post(run.path("log"), json={"message": "by a key"}), 201)
    assert made["message"] == "by a key"
    await run.call("fail", {"error": "again"}, 200)
    await world.entrusted(run.run_id, 2)
    ended = await ok(key.post(run.path("complete"), json={"result": {"b": 2}}))
    assert (ended["status"], ended["attempt"], ended["result"]) == ("completed", 2, {"b": 2})
    await each_is_refused(key, run.run_id, 410, "runs.ended")


async def test_a_key_without_the_scope_is_refused_and_told_which(world: Scene):
    run = await world.accepted()
    others = await world.server.key(*[scope for scope in SCOPES if scope not in ("admin", "workers:connect")])
    await each_is_refused(others, run.run_id, 403, "auth.missing_scope")


async def test_a_key_of_others_finds_nothing_whatever_the_state(world: Scene):
    run = await world.accepted()
    neighbour = await world.server.neighbour()
    await each_is_refused(neighbour, run.run_id, 404, "runs.not_found")
    await run.call("complete", None, 200)
    await each_is_refused(neighbour, run.run_id, 404, "runs.not_found")


async def test_a_key_cannot_act_where_nothing_executes(world: Scene):
    later = instants.text(world.server.house.services.clock.now() + 3_600_000_000)
    run = await ok(world.server.admin.post("/v1/jobs/hook/trigger", json={"scheduled_at": later}), 201)
    await each_is_refused(world.server.admin, run["id"], 409, "runs.invalid_transition")


# --- the dispatch that still waits ------------------------------------------------------------------------------------


async def test_the_answer_of_an_endpoint_that_has_told_the_end_changes_nothing(world: Scene):
    release = asyncio.Event()

    async def late(received, writer) -> None:
        await release.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n" + b'{"from":"answer"}')

    world.endpoint.respond = late
    made = await ok(world.server.admin.post("/v1/jobs/hook/trigger", json={}), 201)
    await world.seen(made["id"], "run.started")
    client = world.server.client(world.server.house.services.tenants.run_tokens.mint(made["id"], 1))
    path = f"/sdk/v1/runs/{made['id']}"
    await ok(client.post(f"{path}/log", json={"message": "while the dispatch waits"}), 201)
    await ok(client.post(f"{path}/heartbeat"))
    ended = await ok(client.post(f"{path}/complete", json={"result": {"from": "call"}}))
    before = await world.events(made["id"])
    release.set()
    worker = next(worker for worker in world.server.house.services.engine.workers if worker.busy)
    await worker._empty.wait()
    ended.pop("stop")
    assert await world.run(made["id"]) == ended
    assert ended["result"] == {"from": "call"}
    assert await world.events(made["id"]) == before


async def test_a_lost_write_of_the_dispatch_is_a_stale_lease(world: Scene):
    run = await world.accepted()
    fleet = world.server.house.services.engine.fleet
    attempt = await fleet.attempt(run.run_id, 1)
    await run.call("complete", {"result": {"a": 1}}, 200)
    with pytest.raises(StaleLease):
        await fleet.finish(attempt, Completed())
    assert (await world.run(run.run_id))["result"] == {"a": 1}


async def test_of_two_ends_at_once_one_counts(world: Scene):
    run = await world.accepted()
    asked = [("complete", {"result": {"n": n}}) for n in range(5)] + [("fail", {"error": "x", "retryable": False})] * 5
    answers = await asyncio.gather(*(run.client.post(run.path(verb), json=body) for verb, body in asked))
    assert sorted(each.status_code for each in answers) == [200] + [410] * 9
    ends = [each for each in await world.events(run.run_id) if each["type"] in ("run.completed", "run.failed")]
    assert len(ends) == 1
