"""What is told about one run: why it waits, where its time went, and all of it in one piece without its secrets."""

import json

import pytest

from tests.acceptance.contract import ContractClient
from tests.acceptance.gate import Gate
from tests.acceptance.live_server import LiveServer
from tests.acceptance.speech import Json, Speech, later, refused, said

pytestmark = pytest.mark.xdist_group("acceptance-jobs")

PARTS = ("run", "events", "checkpoints", "usage", "tool_calls", "outputs")
OURS = ("attempts", "children", "webhook_deliveries", "job_version", "truncated")


@pytest.fixture(scope="module")
async def rich(admin: ContractClient) -> Json:
    """Return the bundle of a run that did a little of everything, with a secret in every place that takes one."""
    api = Speech(admin)
    job = await api.job("works", max_attempts=2, description="password=hunter2hunter2")
    secret = "sk-" + "y" * 30
    made = await said(admin.get(f"/v1/jobs/{job}"))
    run = await api.trigger(
        job,
        {"password": secret},
        metadata={"note": f"token={secret}"},
        debug_mode=True,
        scheduled_at=later(made["created_at"], days=1),
    )
    child = await api.trigger(await api.job("echo"), {"api_key": secret}, parent_run_id=run["id"])
    await api.ended(child["id"])
    await said(admin.post(f"/v1/runs/{run['id']}/reschedule", json={"scheduled_at": made["created_at"]}))
    ended = await api.ended(run["id"])
    bundle: Json = await said(admin.get(f"/v1/runs/{run['id']}/debug-bundle"))
    return {"bundle": bundle, "run": ended, "child": child, "secret": secret}


async def test_appendix_c_23_a_bundle_holds_attempts_children_and_deliveries_and_no_secret(api: Speech, rich: Json):
    bundle, run = rich["bundle"], rich["run"]
    assert set(bundle) == {*PARTS, *OURS}
    assert [attempt["attempt"] for attempt in bundle["attempts"]] == [1, 2]
    assert [child["id"] for child in bundle["children"]] == [rich["child"]["id"]]
    assert bundle["webhook_deliveries"] == []
    assert (bundle["job_version"]["version"], bundle["job_version"]["job_id"]) == (1, run["job_id"])
    assert bundle["attempts"][0]["exchanges"]
    text = json.dumps(bundle)
    assert rich["secret"] not in text
    assert "hunter2hunter2" not in text
    assert bundle["truncated"] == []


async def test_a_bundle_shows_what_the_lists_show(api: Speech, rich: Json):
    bundle, base = rich["bundle"], f"/v1/runs/{rich['run']['id']}"
    assert bundle["run"] == await api.run(rich["run"]["id"])
    for part in ("events", "checkpoints", "usage", "outputs", "attempts", "children"):
        shown = sorted(bundle[part], key=lambda row: str(row["id"]))
        assert shown == sorted(await api.listed(f"{base}/{part}", limit=500), key=lambda row: str(row["id"])), part
    assert bundle["tool_calls"] == await api.listed(f"{base}/tool-calls")


async def test_a_timeline_tells_where_the_time_went(api: Speech, rich: Json):
    run = rich["run"]
    told = await said(api.client.get(f"/v1/runs/{run['id']}/timeline"))
    spans = told["spans"]
    assert (told["trace_id"], told["truncated"]) == (run["trace_id"], False)
    attempts = {span["id"]: span for span in spans if span["kind"] == "attempt"}
    assert [span["name"] for span in attempts.values()] == ["attempt 1", "attempt 2"]
    assert sum(span["duration_us"] for span in attempts.values()) // 1000 <= run["active_ms"] + 1
    steps = [span for span in spans if span["kind"] == "step"]
    assert {span["name"] for span in steps} >= {"read", "send"}
    for step in steps:
        within = attempts[step["parent_id"]]
        assert within["started_at"] <= step["ended_at"] <= within["ended_at"]
    assert spans[-1]["name"] == "completed"


async def test_why_says_what_a_run_waits_for(api: Speech, gate: Gate):
    nobody = await api.trigger(await api.job("nobody-has-this"))
    why = await said(api.client.get(f"/v1/runs/{nobody['id']}/why"))
    assert (why["code"], why["status"], why["line"]["workers"]) == ("no_worker", "queued", 0)
    await said(api.client.delete(f"/v1/runs/{nobody['id']}"))
    assert (await said(api.client.get(f"/v1/runs/{nobody['id']}/why")))["code"] == "ended"
    job = await api.job("hold", max_concurrency=1)
    first, second = [await api.trigger(job, {"gate": gate.port}) for _ in range(2)]
    await gate.arrived()
    assert (await said(api.client.get(f"/v1/runs/{first['id']}/why")))["code"] == "executing"
    held = await said(api.client.get(f"/v1/runs/{second['id']}/why"))
    assert (held["code"], held["limit"]["used"], held["limit"]["max"]) == ("limit", 1, 1)
    gate.open()


async def test_a_run_whose_data_were_erased_has_no_bundle_and_no_timeline(api: Speech):
    run = await api.done(await api.job("echo"))
    await api.verb(run["id"], "erase")
    for part in ("debug-bundle", "timeline"):
        await refused(api.client.get(f"/v1/runs/{run['id']}/{part}"), 410, "runs.erased")


RECORDS = (
    *("children", "events", "checkpoints", "usage", "tool-calls", "outputs", "attempts", "state", "artifacts"),
    *("effects", "why", "timeline", "debug-bundle", "stream", "stream/chunks"),
)


async def test_appendix_c_24_what_belongs_to_no_run_is_404_and_pages_end(api: Speech, rich: Json, server: LiveServer):
    for part in RECORDS:
        await refused(api.client.get(f"/v1/runs/run_{'0' * 32}/{part}"), 404, "runs.not_found")
    base = f"/v1/runs/{rich['run']['id']}"
    for part in ("events", "checkpoints", "outputs", "attempts", "children", "usage", "tool-calls", "state"):
        rows = await api.listed(f"{base}/{part}", limit=1)
        assert [row["id"] for row in rows] == [row["id"] for row in await api.listed(f"{base}/{part}", limit=500)]
        assert len({row["id"] for row in rows}) == len(rows)


async def test_appendix_c_8_three_pages_of_equal_instants_hold_each_row_once(api: Speech):
    job = await api.job("echo")
    due = (await api.trigger(job))["created_at"]
    parent = await api.trigger(job, scheduled_at=due.replace(due[:4], str(int(due[:4]) + 1), 1)[:10] + "T00:00:00Z")
    items: list[Json] = [{"parent_run_id": parent["id"], "payload": {"n": n}} for n in range(7)]
    made = [result["id"] for result in (await api.bulk(job, items))["results"]]
    events = [(await api.events(run_id))[0]["created_at"] for run_id in made]
    assert len(set(events)) == 1, "one transaction, one instant"
    for order in ("asc", "desc"):
        children = await api.listed(f"/v1/runs/{parent['id']}/children", limit=3, order=order)
        assert sorted(child["id"] for child in children) == sorted(made)
    talk = await api.done(await api.job("talk"), {"lines": 5})
    paged = await api.listed(f"/v1/runs/{talk['id']}/events", limit=4)
    assert [event["seq"] for event in paged] == list(range(1, talk["last_seq"] + 1))
    await said(api.client.delete(f"/v1/runs/{parent['id']}"))


async def test_appendix_c_9_tags_and_status_combine_and_malformed_json_is_422(api: Speech):
    job = await api.job("stumble", max_attempts=1)
    good = await api.done(job, {"times": 0}, tags={"env": "prod"})
    bad = await api.done(job, tags={"env": "prod"})
    await api.done(job, tags={"env": "test"})
    asked = {"job_id": job, "tag_key": "env", "tag_value": "prod"}
    assert [run["id"] for run in await api.runs(**asked, status="failed")] == [bad["id"]]
    assert [run["id"] for run in await api.runs(**asked, status="completed")] == [good["id"]]
    assert await api.runs(**asked, status="failed", execution_mode="http") == []
    await refused(api.client.get("/v1/runs", params={"payload_contains": "{"}), 422, "request.invalid")


async def test_appendix_c_11_what_operators_do_is_in_the_stream_and_among_the_events(api: Speech):
    due = "2099-01-01T00:00:00Z"
    job = await api.job("nobody-has-this")
    run = await api.trigger(job, ttl_secs=1)
    await api.verb(run["id"], "pause")
    await api.verb(run["id"], "resume")
    expired = await api.ended(run["id"])
    assert expired["status"] == "expired", due
    cancelled = await api.trigger(job)
    await said(api.client.delete(f"/v1/runs/{cancelled['id']}"))
    for run_id, types in (
        (run["id"], ["run.created", "run.paused", "run.resumed", "run.expired"]),
        (cancelled["id"], ["run.created", "run.cancelled"]),
    ):
        events = await api.events(run_id)
        assert [event["type"] for event in events] == types
        streamed = await api.stream(run_id)
        assert [streamed.count(f'"{each}"'.encode()) for each in types] == [1] * len(types)
