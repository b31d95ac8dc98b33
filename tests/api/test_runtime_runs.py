"""Runs on the runtime surface: status, pages of events, streams, the cancel, under both addresses."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import httpx2
import pytest

from runwright.domain import instants
from runwright.domain.instants import DAY_US
from tests.api.served import Served, ok, serving
from tests.waiting import until

FOURTEEN = {
    "run_id", "status", "mode", "runtime_profile", "repo", "ref", "orchestrator_model", "subagent_model", "created_at",
    "updated_at", "max_iterations", "current_iteration", "current_stage", "total_events",
}  # fmt: skip
PROMISED = {
    "event_id", "run_id", "seq", "ts", "type", "kind", "actor", "payload", "usage", "duration_ms", "token_usage",
    "cost_usd", "hash", "prev_hash",
}  # fmt: skip
ADDRESSES = ("/api/v1/runs", "/api/v1/runtime/runs")


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(tmp_path_factory.mktemp("runtime"), worker=("tests.acceptance.handlers:app",)) as served:
        yield served


async def ended(server: Served, **body: Any) -> str:
    """Return a run that has completed."""
    run = await ok(server.admin.post("/v1/jobs/echo/trigger", json={"payload": {"a": 1}, **body}), 201)
    await server.ended(run["id"])
    return str(run["id"])


async def waiting(server: Served) -> str:
    """Return a run that will not start before tomorrow."""
    later = instants.text(server.house.services.clock.now() + DAY_US)
    body = {"payload": {"a": 1}, "scheduled_at": later}
    return str((await ok(server.admin.post("/v1/jobs/echo/trigger", json=body), 201))["id"])


async def drained(server: Served, address: str, run_id: str, limit: int) -> list[dict[str, Any]]:
    """Read as the original's client does: after the last event again and again, until a page is empty."""
    found: list[dict[str, Any]] = []
    while True:
        after = f"&after_event_id={found[-1]['event_id']}" if found else ""
        page = await ok(server.admin.get(f"{address}/{run_id}/events/list?limit={limit}{after}"))
        assert page["has_more"] is (len(page["events"]) == limit and page["events"][-1]["seq"] < page["head_seq"])
        if not page["events"]:
            return found
        assert page["next_after_event_id"] == page["events"][-1]["event_id"]
        found += page["events"]


async def refused(server: Served, path: str, status: int, code: str) -> None:
    """See that a request is refused, in the words of this surface."""
    answer = await server.admin.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a_status_has_the_fourteen_fields_that_the_client_reads(server: Served, address: str):
    run_id = await ended(server)
    status = await ok(server.admin.get(f"{address}/{run_id}/status"))
    assert status.keys() >= FOURTEEN
    assert (status["run_id"], status["status"], status["current_stage"]) == (run_id, "completed", "DONE")
    assert status["total_events"] == status["last_event"]["seq"]
    assert status["stop"]["code"] == "COMPLETED"
    listed = await ok(server.admin.get(f"{address}?status=completed&limit=1"))
    assert listed == [status]


@pytest.mark.parametrize("address", ADDRESSES)
async def test_pages_of_events_are_drained_and_each_links_to_the_one_before(server: Served, address: str):
    run_id = await ended(server)
    events = await drained(server, address, run_id, 2)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events == await drained(server, address, run_id, 5_000)
    for event in events:
        assert event.keys() >= PROMISED
        assert event["payload"]["summary"]
        assert event["legacy_type"] == event["type"].replace(".", "_")
        assert (event["usage"]["input_tokens"], event["cost_usd"]) == (0, 0)
    assert all(after["prev_hash"] == before["hash"] for before, after in pairwise(events))
    status = await ok(server.admin.get(f"{address}/{run_id}/status"))
    assert status["evidence"] == {"head_hash": events[-1]["hash"], "sealed": True}


async def test_lines_of_ndjson_are_the_events_of_the_pages(server: Served):
    run_id = await ended(server)
    answer = await server.admin.get(f"/api/v1/runs/{run_id}/events/list", headers={"accept": "application/x-ndjson"})
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert [json.loads(line) for line in answer.text.splitlines()] == await drained(server, ADDRESSES[0], run_id, 500)


async def test_k1_a_cursor_of_another_run_is_not_there_nor_one_that_is_of_no_event(server: Served):
    run_id, other = await ended(server), await ended(server)
    path = f"/api/v1/runs/{run_id}/events/list?"
    await refused(server, f"{path}after_event_id={other}.1", 404, "CURSOR_NOT_FOUND")
    await refused(server, f"{path}after_event_id={run_id}.999", 404, "CURSOR_NOT_FOUND")
    await refused(server, f"{path}after_event_id=evt_1", 422, "CURSOR_MALFORMED")
    await refused(server, f"{path}after_event_id={run_id}.1&after_seq=1", 422, "CURSOR_MALFORMED")
    await refused(server, f"{path}limit=5001", 422, "VALIDATION")
    await refused(server, f"{path}colour=blue", 422, "VALIDATION")
    await refused(server, "/api/v1/runs/run_nobody/status", 404, "RUN_NOT_FOUND")


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a_stream_tells_what_the_pages_tell_and_goes_on_where_it_is_asked_to(server: Served, address: str):
    run_id = await ended(server)
    events = await drained(server, address, run_id, 500)
    for after in (0, 2):
        answer = await server.admin.get(f"{address}/{run_id}/events", headers={"last-event-id": str(after)})
        assert frames(answer) == [(str(event["seq"]), event["type"], event) for event in events[after:]]
    assert (await server.admin.get(f"{address}/{run_id}/events?after_seq={len(events)}")).status_code == 204


async def test_a_live_stream_links_each_event_to_the_one_before(server: Served):
    run_id = await waiting(server)
    first = (await drained(server, ADDRESSES[0], run_id, 500))[-1]

    async def follow() -> httpx2.Response:
        return await server.admin.get(f"/api/v1/runs/{run_id}/events?after_event_id={first['event_id']}")

    reading = asyncio.create_task(follow())
    await until(lambda: server.house.services.engine.hub.channels)
    cancelled = await server.admin.post(f"/api/v1/runtime/runs/{run_id}/cancel", json={"reason": "not today"})
    assert cancelled.status_code == 202, cancelled.text
    told = frames(await reading)
    assert [data for _, _, data in told] == (await drained(server, ADDRESSES[0], run_id, 500))[first["seq"] :]
    assert told[0][2]["prev_hash"] == first["hash"]


async def test_a_cancel_of_a_run_that_has_ended_changes_nothing(server: Served):
    run_id = await waiting(server)
    assert (await server.admin.post(f"/api/v1/runs/{run_id}/cancel")).status_code == 202
    status = await ok(server.admin.get(f"/api/v1/runs/{run_id}/status"))
    assert await ok(server.admin.post(f"/api/v1/runs/{run_id}/cancel", json={"reason": "again"})) == status


def frames(answer: httpx2.Response) -> list[tuple[str, str, Any]]:
    """Return (id, event, data) of each frame."""
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.split("\n") if line and line[0] != ":")
        if "data" in fields:
            found.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return found


async def test_no_reason_brings_a_secret_into_a_log(server: Served):
    secret = "hunter2-is-not-for-logs"
    await ok(server.admin.post("/v1/secrets", json={"name": "OURS", "value": secret}), 201)
    runs, said = [await waiting(server) for _ in range(3)], {"reason": f"because of {secret}"}
    await ok(server.admin.post(f"/api/v1/runs/{runs[0]}/cancel", json=said), 202)
    await ok(server.admin.post("/v1/runs/bulk-cancel", json={"run_ids": [runs[1]], **said}))
    await ok(server.admin.post(f"/v1/runs/{runs[2]}:cancel", json=said))
    for run_id in runs:
        for path in (f"/api/v1/runs/{run_id}/events/list", f"/api/v1/runs/{run_id}/status", f"/v1/runs/{run_id}"):
            text = (await server.admin.get(path)).text
            assert secret not in text, path
        assert "because of [redacted:" in (await server.admin.get(f"/api/v1/runs/{run_id}/events/list")).text
