"""The document of the runtime surface, address by address, and its contract of events, against a real server."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.acceptance.live_server import API_KEY, LiveServer
from tests.acceptance.speech import PATIENCE_S, Json, Speech, said
from tests.engine.databases import Database
from tests.sandbox.repositories import Repository

pytestmark = [pytest.mark.xdist_group("acceptance-runtime-document"), pytest.mark.slow]

DOCUMENT = (
    "POST /api/v1/runs",
    "GET /api/v1/runs/{run_id}/status",
    "POST /api/v1/runs/{run_id}/cancel",
    "GET /api/v1/runs/{run_id}/events",
    "GET /api/v1/runs/{run_id}/events/list",
    "WS /api/v1/runs/{run_id}/terminal",
    "POST /api/v1/runs/{run_id}/approvals",
    "GET /api/v1/runs/{run_id}/evidence",
    "GET /api/v1/runtime/kpi?compare_window_days=&baseline_window_days=",
    "POST /api/v1/runs/git/pr/checkpoints",
    "GET /api/v1/models/catalog",
    "POST /api/v1/loops/omar",
    "GET /api/v1/loops/omar/{loop_id}",
)
FAMILIES = {
    "start": "run.started", "progress": "run.stage_changed", "complete": "run.completed",
    "tool call": "tool.call", "tool result": "tool.result",
    "terminal": "terminal.output", "narrative": "output.narrative",
    "approval requested": "approval.requested", "approved": "approval.approved", "denied": "approval.denied",
}  # fmt: skip
"""The families of events that the document names, but for failure, each with the type that is one."""
ORDER = {
    "mode": "edit_gated",
    "steps": [
        {"kind": "command", "step_id": "greet", "command": ["echo", "hello"]},
        {"kind": "report"},
        {"kind": "approval", "summary": "Go on?"},
        {"kind": "approval", "summary": "Really?"},
        {"kind": "command", "command": ["echo", "never"]},
    ],
}


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="runwright-test-") as name:
        Path(name).chmod(0o755)
        Repository(Path(name) / "project").commit(**{"app.py": "one = 1\n"})
        yield Path(name)


@pytest.fixture
async def live(tmp_path: Path, database: Database, root: Path) -> AsyncIterator[LiveServer]:
    server = LiveServer(tmp_path, database, worker=None, repository_roots=str(root), scanners="none")
    await server.start()
    yield server
    await server.close()


async def asking(api: Speech, run_id: str) -> Json:
    """Return the approval that a run waits for."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            for each in await said(api.client.get(f"/api/v1/runs/{run_id}/approvals")):
                if each["status"] == "pending":
                    found: Json = each
                    return found
            await said(api.client.get(f"/api/v1/runs/{run_id}/status", params={"wait": 1}))


async def ended(api: Speech, run_id: str) -> Json:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found: Json = await said(api.client.get(f"/api/v1/runs/{run_id}/status", params={"wait": 1}))
            if found["status"] in ("completed", "failed", "cancelled"):
                return found


async def decided(api: Speech, run_id: str, decision: str) -> Json:
    asked = await asking(api, run_id)
    body = {"decision": decision, **{name: asked[name] for name in ("checkpoint_id", "subject_sha256")}}
    answer: Json = await said(api.client.post(f"/api/v1/runs/{run_id}/approvals", json=body))
    return answer


async def shown(live: LiveServer, run_id: str) -> list[str]:
    """Return the kinds of the frames of a terminal, to its end."""
    url = live.url.replace("http", "ws", 1) + f"/api/v1/runs/{run_id}/terminal"
    async with (
        asyncio.timeout(PATIENCE_S),
        connect(url, additional_headers={"authorization": f"Bearer {API_KEY}"}) as socket,
    ):
        return [json.loads(frame)["t"] async for frame in socket]


async def test_every_address_of_the_document_answers(live: LiveServer, root: Path):
    api = Speech(live.client())
    called: list[str] = []

    async def call(address: str, status: int = 200, body: Any = None, **ids: str) -> Json:
        called.append(address)
        method, path = address.split(" ", 1)
        answer: Json = await said(api.client.request(method, path.format(**ids), json=body), status)
        return answer

    run_id = (await call(DOCUMENT[0], 201, ORDER))["run_id"]
    assert (await call(DOCUMENT[1], run_id=run_id))["run_id"] == run_id
    asked = await asking(api, run_id)
    body = {"decision": "approve", **{name: asked[name] for name in ("checkpoint_id", "subject_sha256")}}
    assert (await call(DOCUMENT[6], 200, body, run_id=run_id))["status"] == "approved"
    await call(DOCUMENT[2], 202, run_id=run_id)
    assert (await ended(api, run_id))["status"] == "cancelled"
    stream = await api.client.get(DOCUMENT[3].split(" ")[1].format(run_id=run_id))
    called.append(DOCUMENT[3])
    assert stream.headers["content-type"].startswith("text/event-stream")
    page = await call(DOCUMENT[4], run_id=run_id)
    assert stream.text.count("\ndata: ") == len(page["events"]) == page["head_seq"]
    called.append(DOCUMENT[5])
    kinds = await shown(live, run_id)
    assert (kinds[0], kinds[-1]) == ("hello", "eof")
    assert "chunk" in kinds
    evidence = await call(DOCUMENT[7], run_id=run_id)
    assert evidence.keys() >= {"timeline", "integrity", "redaction", "findings", "artifacts"}
    assert {each["id"] for each in (await call(DOCUMENT[8]))["metrics"]} >= {"success_rate", "time_to_close"}
    results = (await call(DOCUMENT[9], 200, {"run_ids": [run_id], "actions": ["commit"]}))["results"]
    assert [each["run_id"] for each in results] == [run_id]
    assert (await call(DOCUMENT[10]))["models"] is not None
    loop = await call(DOCUMENT[11], 202, {"repo": str(root / "project")})
    assert (await call(DOCUMENT[12], loop_id=loop["loop_id"]))["loop_id"] == loop["loop_id"]
    assert sorted(called) == sorted(DOCUMENT)


async def test_the_log_of_one_run_has_every_family_and_each_event_every_promised_field(live: LiveServer, root: Path):
    api = Speech(live.client())
    run_id = (await said(api.client.post("/api/v1/runs", json=ORDER), 201))["run_id"]
    await decided(api, run_id, "approve")
    await decided(api, run_id, "deny")
    assert (await ended(api, run_id))["stop"]["code"] == "APPROVAL_DENIED"
    events = (await said(api.client.get(f"/api/v1/runs/{run_id}/events/list")))["events"]
    assert set(FAMILIES.values()) - {event["type"] for event in events} == set()
    assert len({event["event_id"] for event in events}) == len(events)
    for event in events:
        assert all(event[name] for name in ("event_id", "run_id", "ts", "kind", "actor", "hash")), event
        assert event["payload"]["summary"], event
        assert event["usage"].keys() >= {"input_tokens", "output_tokens", "cost_microusd", "estimated"}

    order = {"repo": str(root / "nothing")}
    failed = (await said(api.client.post("/api/v1/runs", json=order), 201))["run_id"]
    assert (await ended(api, failed))["status"] == "failed"
    log = (await said(api.client.get(f"/api/v1/runs/{failed}/events/list")))["events"]
    assert log[-1]["type"] == "run.failed"
    assert log[-1]["payload"]["summary"]
