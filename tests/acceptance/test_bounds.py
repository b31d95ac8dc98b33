"""Every bound has a name in the settings, and holds: pages, scans, streams, bodies, values."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.acceptance.frames import event_bytes, events, frames
from tests.acceptance.gate import Gate
from tests.acceptance.live_server import LiveServer
from tests.acceptance.speech import SSE, Speech, refused, said
from tests.engine.databases import Database

pytestmark = [pytest.mark.xdist_group("acceptance-bounds"), pytest.mark.slow]


@pytest.fixture(scope="module")
async def narrow(tmp_path_factory: pytest.TempPathFactory, module_database: Database) -> AsyncIterator[LiveServer]:
    """Serve within narrow bounds."""
    live = LiveServer(
        tmp_path_factory.mktemp("narrow"),
        module_database,
        page_default=5,
        page_max=10,
        scan_budget=30,
        bulk_items_max=40,
        body_max_bytes=4096,
        bulk_body_max_bytes=8192,
        value_inline_max_bytes=64,
        stream_lag_max=20,
        streams_per_key=3,
        stream_keepalive_s=0.2,
        slots=3,
    )
    await live.start()
    yield live
    await live.close()


@pytest.fixture
async def api(narrow: LiveServer) -> Speech:
    return Speech(narrow.client())


async def test_a_page_has_so_many_rows_by_default_and_at_most(api: Speech):
    job = await api.job("echo")
    await api.bulk(job, [{}] * 12)
    assert len(await api.runs(job_id=job)) == 5
    assert len(await api.runs(job_id=job, limit=10)) == 10
    details = await refused(api.client.get("/v1/runs", params={"limit": 11}), 422, "request.invalid")
    assert details["fields"] == [{"path": "limit", "message": "must be from 1 to 10"}]
    assert len(await api.listed("/v1/runs", job_id=job)) == 12
    document = (await api.client.get("/openapi.json")).json()
    parameters = {each["name"]: each["schema"] for each in document["paths"]["/v1/runs"]["get"]["parameters"]}
    assert (parameters["limit"]["minimum"], parameters["limit"]["maximum"]) == (1, 10)


async def test_a_page_that_cost_too_much_to_fill_says_so_and_goes_on(api: Speech):
    job = await api.job("echo")
    for n in range(3):
        await api.bulk(job, [{"tags": {"n": str(n)}}] + [{}] * 39)
    response = await api.client.get("/v1/runs", params={"job_id": job, "tag_key": "n"})
    assert response.headers["x-scan"] == "partial"
    assert len(response.json()) < 3
    found = await api.listed("/v1/runs", job_id=job, tag_key="n")
    assert [run["tags"]["n"] for run in found] == ["2", "1", "0"]


async def test_appendix_c_29_bodies_and_bulk_items_are_bounded(api: Speech):
    job = await api.job("echo")
    path = f"/v1/jobs/{job}/trigger"
    await refused(api.client.post(path, json={"payload": {"a": "x" * 5000}}), 413, "request.too_large")
    await refused(api.client.post(f"{path}/bulk", json={"items": [{}] * 41}), 422, "request.invalid")
    await api.bulk(job, [{"payload": {"a": "x" * 3000}}] * 2)
    large = {"items": [{"payload": {"a": "x" * 3000}}] * 3}
    await refused(api.client.post(f"{path}/bulk", json=large), 413, "request.too_large")


async def test_values_that_are_too_large_for_their_row_come_back_whole(api: Speech):
    run = await api.done(await api.job("keeps", max_attempts=2), {"text": "ü" * 500})
    assert (run["status"], run["attempt"], run["result"]) == ("completed", 2, {"same": True})
    (output,) = await api.listed(f"/v1/runs/{run['id']}/outputs")
    assert output["value"] == {"text": "ü" * 500}


async def test_a_key_has_so_many_streams_and_no_more(api: Speech, narrow: LiveServer, gate: Gate):
    run = await api.trigger(await api.job("hold"), {"gate": gate.port})
    await gate.arrived()
    path = f"/v1/runs/{run['id']}/stream"
    async with (
        api.client.stream("GET", path, headers=SSE) as first,
        api.client.stream("GET", path, headers=SSE) as second,
        api.client.stream("GET", path, headers=SSE) as third,
    ):
        parts = [stream.aiter_raw() for stream in (first, second, third)]  # kept: one that is dropped closes its stream
        assert all([await anext(part) for part in parts])
        response = await api.client.get(path, headers=SSE)
        assert (response.status_code, response.json()["code"]) == (429, "limits.streams")
        assert int(response.headers["retry-after"]) > 0
        other = Speech(narrow.client((await api.key("runs:read"))["token"]))
        assert await other.stream(run["id"], follow="false"), "another key has its own"
    gate.open()
    assert (await other.ended(run["id"]))["status"] == "completed", "the streams of the first may not be closed yet"


async def test_a_reader_that_cannot_keep_up_is_told_and_resumes_without_loss(api: Speech, gate: Gate):
    run = await api.trigger(await api.job("floods"), {"gate": gate.port, "events": 300, "bytes": 30_000})
    await gate.arrived()
    async with api.client.stream("GET", f"/v1/runs/{run['id']}/stream", headers=SSE) as response:
        parts: Any = response.aiter_raw()
        raw = await anext(parts)
        gate.open()
        await until_ended(api, run["id"])
        async for part in parts:
            raw += part
    last = frames(raw)[-1]
    assert last.fields["event"] == "lagged"
    assert "id" not in last.fields, "a control frame is no event"
    seen = events(raw)[-1]["seq"]
    assert last.data == {"last_seq": seen}
    rest = await api.stream(run["id"], last=seen)
    assert event_bytes(raw) + rest == await api.stream(run["id"])


async def until_ended(api: Speech, run_id: str) -> None:
    """Wait for the end of a run without reading its events."""
    assert await api.stream(run_id, types="run.completed")
    assert (await said(api.client.get(f"/v1/runs/{run_id}")))["status"] == "completed"
