"""Erasing a run over HTTP: once for ever, only when it has ended, and told plainly in every answer."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.served import Served, ok, refused, serving


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(tmp_path_factory.mktemp("erased"), worker=("tests.acceptance.handlers:app",)) as served:
        for slug in ("echo", "works"):
            await served.admin.post("/v1/jobs", json={"slug": slug, "handler": slug})
        yield served


async def ended(served: Served, job: str = "works") -> str:
    """Make a run that has ended."""
    run = await ok(served.admin.post(f"/v1/jobs/{job}/trigger", json={"payload": {"a": 1}, "tags": {"t": "x"}}), 201)
    await served.ended(run["id"])
    return str(run["id"])


async def test_the_run_says_when_it_was_erased_and_shows_nothing_else(server: Served) -> None:
    run_id = await ended(server)
    before = await ok(server.admin.get(f"/v1/runs/{run_id}"))
    assert before["erased_at"] is None
    erased = await ok(server.admin.post(f"/v1/runs/{run_id}/erase"))
    assert erased["erased_at"] is not None
    assert await ok(server.admin.get(f"/v1/runs/{run_id}")) == erased
    gone: dict[str, object] = {"payload": {}, "result": None, "tags": {}, "error": None, "created_by_user_name": None}
    assert {**before, **gone, "erased_at": erased["erased_at"]} == erased
    assert await ok(server.admin.post(f"/v1/runs/{run_id}/erase")) == erased
    assert [run["id"] for run in await ok(server.admin.get("/v1/runs"))].count(run_id) == 1


async def test_the_log_goes_on_showing_what_happened_without_data(server: Served) -> None:
    run_id = await ended(server)
    before = await ok(server.admin.get(f"/v1/runs/{run_id}/events"))
    assert not any(event["erased"] for event in before)
    await ok(server.admin.post(f"/v1/runs/{run_id}/erase"))
    after = await ok(server.admin.get(f"/v1/runs/{run_id}/events"))
    same = ("id", "run_id", "type", "created_at", "seq")
    assert [[event[name] for name in same] for event in after] == [[event[name] for name in same] for event in before]
    assert all((event["erased"], event["data"], event["message"]) == (True, None, "") for event in after)
    response = await server.admin.get(f"/v1/runs/{run_id}/stream")
    assert response.text.count('"erased":true') == response.text.count("\nid: ") == len(after)


async def test_what_the_data_are_needed_for_is_gone(server: Served) -> None:
    run_id = await ended(server)
    await ok(server.admin.post(f"/v1/runs/{run_id}/erase"))
    for path in ("checkpoints", "outputs", "effects"):
        await refused(server.admin.get(f"/v1/runs/{run_id}/{path}"), 410, "runs.erased")
    await refused(server.admin.post(f"/v1/runs/{run_id}/replay", json={"force": True}), 410, "runs.erased")
    attempts = await ok(server.admin.get(f"/v1/runs/{run_id}/attempts"))
    assert [attempt["error"] for attempt in attempts] == [None] * len(attempts)


async def test_a_run_that_has_not_ended_is_a_conflict(server: Served) -> None:
    made = await ok(server.admin.post("/v1/jobs", json={"slug": "waits", "handler": "nap"}), 201)
    run = await ok(server.admin.post(f"/v1/jobs/{made['id']}/trigger", json={"payload": {"secs": 600}}), 201)
    await refused(server.admin.post(f"/v1/runs/{run['id']}/erase"), 409, "runs.not_ended")
    await ok(server.admin.delete(f"/v1/runs/{run['id']}"))
    assert (await ok(server.admin.post(f"/v1/runs/{run['id']}/erase")))["erased_at"] is not None


async def test_it_needs_its_own_scope_and_is_told_in_the_audit_log(server: Served) -> None:
    run_id = await ended(server, "echo")
    writer = await server.key("runs:read", "runs:write")
    assert await refused(writer.post(f"/v1/runs/{run_id}/erase"), 403, "auth.missing_scope") == {"scope": "data:erase"}
    eraser = await server.key("data:erase")
    await ok(eraser.post(f"/v1/runs/{run_id}/erase"))
    entry = (await ok(server.admin.get("/v1/audit", params={"target": run_id})))[0]
    assert entry["action"] == "run.erased"
    assert set(entry["data"]) == {"seq", "hash", "genesis", "opening"}
    assert (await ok(server.admin.get("/v1/audit/verify")))["whole"]


async def test_it_stays_erased_after_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path, worker=("tests.acceptance.handlers:app",)) as first:
        await first.admin.post("/v1/jobs", json={"slug": "works", "handler": "works"})
        run_id = await ended(first)
        erased = await ok(first.admin.post(f"/v1/runs/{run_id}/erase"))
    async with serving(tmp_path) as second:
        assert await ok(second.client(first.admin_token).get(f"/v1/runs/{run_id}")) == erased
