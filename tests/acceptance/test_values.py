"""Working values: exact for the handler, redacted for every reader, JSON objects on the wire, and refused otherwise."""

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.gate import Gate
from tests.acceptance.speech import Json, Speech, refused, said

pytestmark = pytest.mark.xdist_group("acceptance-jobs")

SECRET = "sk-proj-Abcdefgh0123456789xyz"
JSON_VALUES = [None, True, 0, -1.5, 2**53, "", "ü☃\u2028", [], [1, [2]], {}, {"a": {"b": [None]}}, 1e308]


@pytest.mark.parametrize("value", JSON_VALUES, ids=repr)
async def test_a_result_is_an_object_on_the_wire(api: Speech, value: Any):
    run = await api.done(await api.job("returns"), {"json": value})
    expected = value if value is None or isinstance(value, dict) else {"value": value}
    assert (run["status"], run["result"]) == ("completed", expected)


@pytest.mark.parametrize("odd", ["set", "object", "nan", "bytes", "key"])
async def test_a_result_that_is_not_json_fails_the_run_for_good(api: Speech, odd: str):
    run = await api.done(await api.job("returns", max_attempts=5), {"odd": odd})
    assert (run["status"], run["reason"], run["attempt"], run["result"]) == ("dead_letter", "rejected", 1, None)
    assert run["error_class"] == "ResultNotJson"
    assert "not JSON" in run["error"]


@pytest.mark.parametrize("payload", [[], "text", 1, None, True])
async def test_a_payload_that_is_no_object_is_refused(api: Speech, payload: object):
    job = await api.job("echo")
    details = await refused(
        api.client.post(f"/v1/jobs/{job}/trigger", json={"payload": payload}), 422, "request.invalid"
    )
    assert details["fields"][0]["path"] == "payload"


async def test_a_payload_comes_to_the_handler_as_it_was_sent(api: Speech):
    payload = {str(place): value for place, value in enumerate(JSON_VALUES)} | {"": 1, "ü": {"\n": "\t\\"}, "n": 2**63}
    run = await api.done(await api.job("echo"), payload)
    assert run["payload"] == run["result"] == payload


async def test_a_nul_anywhere_in_a_payload_is_refused_with_its_path(api: Speech):
    path = f"/v1/jobs/{await api.job('echo')}/trigger"
    for payload, where in (
        ({"a": "x\0"}, "payload.a"),
        ({"a": [1, {"b": "\0"}]}, "payload.a[1].b"),
        ({"a\0": 1}, "payload"),
        ({"a": {"b\0c": 1}}, "payload.a"),
    ):
        details = await refused(api.client.post(path, json={"payload": payload}), 422, "request.invalid")
        assert details["fields"] == [{"path": where, "message": "must not contain NUL"}]
    escaped = await api.done(await api.job("echo"), {"a": "\\u0000 is only text"})
    assert escaped["result"] == {"a": "\\u0000 is only text"}


async def test_a_large_payload_and_a_large_result_come_back_whole(api: Speech):
    payload = {"text": "0123456789abcdef" * 40_000, "list": list(range(20_000))}
    run = await api.done(await api.job("echo"), payload)
    assert run["result"] == payload
    kept = await api.done(await api.job("echo"), {"list": ["ü" * 1000] * 400})
    assert kept["result"] == {"list": ["ü" * 1000] * 400}


async def test_a_secret_reaches_the_handler_and_no_reader(api: Speech, notes: Path):
    job = await api.job("confess")
    run = await api.done(job, {"password": SECRET, "file": str(notes)}, tags={"token": SECRET}, metadata={"m": SECRET})
    assert notes.read_text() == f"{SECRET}\n", "the handler got it exact"
    seen = [
        (await api.client.get(f"/v1/runs/{run['id']}{path}")).text
        for path in ("", "/events", "/outputs", "/checkpoints", "/attempts", "/effects")
    ]
    seen += [(await api.client.get("/v1/runs", params={"job_id": job})).text, (await api.stream(run["id"])).decode()]
    for text in seen:
        assert SECRET not in text
        assert SECRET[8:] not in text
    assert run["payload"]["password"] == "[redacted:password]"
    assert run["result"] == {"secret": "[redacted:secret]", "open": "book"}
    assert run["tags"]["token"] == "[redacted:token]"
    assert "[redacted:openai_key]" in run["metadata"]["m"]
    log = next(event for event in await api.events(run["id"]) if event["type"] == "log")
    assert "[redacted:" in log["message"]


async def test_the_server_s_own_key_is_a_known_secret(api: Speech):
    token = api.client.headers["authorization"].removeprefix("Bearer ")
    run = await api.done(await api.job("echo"), {"note": f"the key is {token}!"})
    assert run["result"] == run["payload"]
    assert token not in str(run)


async def test_a_secret_in_the_payload_is_found_by_none_but_the_redacted_text(api: Speech):
    job = await api.job("echo")
    await api.done(job, {"password": SECRET})
    assert await api.runs(job_id=job, payload_contains=f'{{"password": "{SECRET}"}}') == []
    assert len(await api.runs(job_id=job, payload_contains='{"password": "[redacted:password]"}')) == 1


def nested(levels: int) -> Json:
    """Return an object of so many levels with a secret at its end."""
    deep: Any = f"password={SECRET}"
    for _ in range(levels - 1):
        deep = {"a": deep}
    return {"deep": deep}


async def test_a_payload_has_at_most_200_levels_and_does_no_harm_to_lists(api: Speech):
    project = await api.project()
    job = await api.job("echo", project_id=project)
    path = f"/v1/jobs/{job}/trigger"
    for levels in (201, 300, 900):
        await refused(api.client.post(path, json={"payload": nested(levels)}), 422, "value.too_deep")
        items = {"items": [{}, {"payload": nested(levels)}]}
        await refused(api.client.post(f"{path}/bulk", json=items), 422, "value.too_deep")
    assert await api.runs(project_id=project) == []
    made = await api.done(job, nested(200))
    assert SECRET not in str(made)
    assert made["result"] == made["payload"]
    assert [run["id"] for run in await api.runs(project_id=project)] == [made["id"]]


async def test_a_result_of_too_many_levels_or_bytes_fails_the_run_and_is_not_kept(api: Speech):
    job = await api.job("returns", max_attempts=2)
    deep = await api.done(job, {"levels": 300})
    assert (deep["status"], deep["reason"], deep["error_class"]) == ("dead_letter", "rejected", "InvalidRequest")
    assert "levels" in deep["error"]
    large = await api.done(job, {"bytes": 2 << 20})
    assert (large["status"], large["reason"], large["error_class"]) == ("dead_letter", "rejected", "TooLarge")
    assert {run["id"] for run in await api.runs(job_id=job)} == {deep["id"], large["id"]}


async def test_everything_that_a_handler_offers_is_there_to_read(api: Speech):
    run = await api.done(await api.job("works", max_attempts=2))
    assert (run["status"], run["attempt"], run["result"]) == ("completed", 2, {"words": 3})
    base = f"/v1/runs/{run['id']}"

    attempts = await api.listed(f"{base}/attempts")
    assert [(each["attempt"], each["outcome"], each["error_class"]) for each in attempts] == [
        (1, "failed", "ValueError"),
        (2, "completed", None),
    ]
    assert all(each["started_at"] <= each["ended_at"] and each["executor"] == "worker" for each in attempts)

    effects = await said(api.client.get(f"{base}/effects"))
    assert (effects["finished"], effects["would_repeat"], effects["unknown"]) == (["read", "send"], [], [])
    assert effects["safe_to_resume"] is True

    checkpoints = await api.listed(f"{base}/checkpoints")
    assert [(each["sequence"], each["state"], each["source"]) for each in checkpoints] == [
        (1, {"at": 1}, "sdk"),
        (2, {"at": 1}, "sdk"),
        (3, {"at": 2}, "sdk"),
    ]
    outputs = {each["output_key"]: each for each in await api.listed(f"{base}/outputs")}
    assert outputs["draft"]["value"] == {"pages": 2}
    assert outputs["draft"]["schema"] == {"type": "object", "required": ["pages"]}
    assert (outputs["count"]["value"], outputs["count"]["schema"]) == ({"value": 7}, None)

    events = await api.events(run["id"])
    steps = [(each["data"]["name"], each["data"]["reused"]) for each in events if each["type"] == "step.completed"]
    assert steps == [("read", False), ("send", False), ("read", True), ("send", True)]
    keys = {each["data"]["idempotency_key"] for each in events if each["type"] == "step.started"}
    assert keys == {f"{run['id']}:send"}
    chunks = [each["data"] for each in events if each["type"] == "stream.chunk"]
    assert "".join(each["chunk"] for each in chunks) == "some text"
    assert chunks[-1]["done"] is True
    progress = next(each for each in events if each["type"] == "run.progress")
    assert progress["data"]["percent"] == 10


@pytest.mark.parametrize("records", ["attempts", "checkpoints", "outputs"])
async def test_records_come_in_pages_oldest_first(api: Speech, records: str):
    run = await api.done(await api.job("works", max_attempts=2))
    path = f"/v1/runs/{run['id']}/{records}"
    whole = await said(api.client.get(path))
    assert len(whole) >= 2
    assert await api.listed(path, limit=1) == whole
    assert await api.listed(path, limit=1, order="desc") == whole[::-1]
    made = "started_at" if records == "attempts" else "created_at"
    assert await api.listed(path, cursor=whole[0][made]) == [each for each in whole if each[made] > whole[0][made]]
    assert await api.listed(path, cursor=whole[0]["id"]) == whole[1:]


async def test_the_attempt_under_way_is_the_last_one_without_an_end(api: Speech, gate: Gate):
    run = await api.trigger(await api.job("hold"), {"gate": gate.port})
    await gate.arrived()
    attempt: Json = (await api.listed(f"/v1/runs/{run['id']}/attempts"))[-1]
    assert (attempt["attempt"], attempt["ended_at"], attempt["outcome"]) == (1, None, None)
    assert attempt["worker_id"].startswith("local-")
