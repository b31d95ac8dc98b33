"""The checklist of agent runs: twelve points, each under its number; a house test counts them."""

import re
from typing import Any

import pytest

from tests.acceptance.contract import ContractClient
from tests.acceptance.frames import events, frames
from tests.acceptance.live_server import LiveServer
from tests.acceptance.seed_shapes import LISTED_RUN
from tests.acceptance.speech import SSE, Speech, refused, said, unique
from tests.acceptance.talks import Talks
from tests.acceptance.thread_calls import CALLS
from tests.auth.issuer import Issuer

pytestmark = pytest.mark.xdist_group("acceptance-jobs")

SEED = {name for name in LISTED_RUN if name != "trace_id"}
CHECKED = [(*shown.request.split(), shown.body) for shown in CALLS]


@pytest.fixture(scope="module")
async def stranger(server: LiveServer, admin: ContractClient) -> ContractClient:
    """Return the client of another organization's admin."""
    made = await said(admin.post("/v1/organizations", json={"slug": unique("strange")}), 201)
    return server.client(made["token"])


async def test_acceptance_1_an_empty_body_starts_a_run_and_tells_its_trace(talks: Talks):
    thread = await talks.thread()
    bodies: tuple[dict[str, str] | None, ...] = (None, {})
    for body in bodies:
        response = await talks.client.post(f"/v1/threads/{thread}/runs", json=body)
        made = response.json()
        assert response.status_code == 201
        assert re.fullmatch("[0-9a-f]{32}", made["trace_id"])
        assert made["trace_id"] == response.headers["x-trace-id"]
        assert (await talks.ended(made["run_id"]))["trace_id"] == made["trace_id"]


async def test_acceptance_2_a_persona_is_pinned_and_an_unknown_one_is_refused(talks: Talks):
    key = unique("poet")
    for prompt in ("One.", "Two."):
        await said(talks.client.post("/v1/personas", json={"key": key, "prompt": prompt}), 201)
    pinned = await talks.answered(persona_id=f"{key}@1")
    latest = await talks.answered(persona_id=key)
    assert (pinned["persona_id"], latest["persona_id"]) == (f"{key}@1", f"{key}@2")
    thread = await talks.thread()
    for unknown in (f"{key}@3", unique("nobody")):
        body = {"persona_id": unknown}
        await refused(talks.client.post(f"/v1/threads/{thread}/runs", json=body), 404, "personas.not_found")


async def test_acceptance_3_a_busy_thread_takes_no_other_run(talks: Talks):
    run = await talks.asking()
    path = f"/v1/threads/{run['thread_id']}/runs"
    assert await refused(talks.client.post(path), 409, "runs.thread_busy") == {"run_id": run["id"]}
    await said(talks.client.post(f"/v1/runs/{run['id']}:cancel"))


async def test_acceptance_4_runs_of_a_thread_come_newest_first_within_the_limit(talks: Talks):
    thread = await talks.thread()
    made = [(await talks.ended((await talks.start(thread))["run_id"]))["id"] for _ in range(3)]
    path = f"/v1/threads/{thread}/runs"
    assert [run["run_id"] for run in await said(talks.client.get(path))] == made[::-1]
    assert [run["run_id"] for run in await said(talks.client.get(path, params={"limit": 2}))] == made[:0:-1]
    for limit in (0, 1000):
        await refused(talks.client.get(path, params={"limit": limit}), 422, "request.invalid")


async def test_acceptance_5_the_list_of_all_runs_has_every_field_and_its_filters_combine(talks: Talks):
    made = [(await talks.answered("priced"))["id"] for _ in range(2)]
    made.append((await talks.answered("no such script"))["id"])
    path = "/v1/runs"
    (newest,) = await said(talks.client.get(path, params={"limit": 1}))
    assert newest["id"] == made[2]
    assert newest.keys() >= SEED
    assert newest["completed_at"] is None
    combined = {"status": "completed", "limit": 1, "before": made[2]}
    assert [run["id"] for run in await said(talks.client.get(path, params=combined))] == [made[1]]
    combined["before"] = made[1]
    assert [run["id"] for run in await said(talks.client.get(path, params=combined))] == [made[0]]
    await refused(talks.client.get(path, params={"status": "done"}), 422, "request.invalid")


async def test_acceptance_6_a_run_alone_tells_the_trace_that_it_was_made_with(talks: Talks):
    made = await talks.begun("echo")
    await talks.ended(made["run_id"])
    response = await talks.client.get(f"/v1/runs/{made['run_id']}")
    run = response.json()
    seven = {"run_id", "org_id", "thread_id", "created_by_user_id", "status", "created_at", "trace_id"}
    assert seven <= run.keys()
    assert run["trace_id"] == made["trace_id"] != response.headers["x-trace-id"]


async def test_acceptance_7_a_cancel_may_be_repeated_and_its_event_ends_the_log(talks: Talks):
    run = await talks.speaking()
    for _ in range(2):
        assert await said(talks.client.post(f"/v1/runs/{run['id']}:cancel")) == {"ok": True}
    told = events(await talks.raw_stream(run["id"], path="events"))
    assert [event["type"] for event in told].count("run.cancelled") == 1
    assert told[-1]["type"] == "run.cancelled"
    assert told[-1]["data"]["partial_output"].startswith("Once ")
    assert await said(talks.client.post(f"/v1/runs/{run['id']}:cancel")) == {"ok": True}


async def test_acceptance_8_an_answer_is_taken_once_where_one_is_waited_for_and_measured_in_bytes(talks: Talks):
    run = await talks.asking()
    path = f"/v1/runs/{run['id']}/input"
    for long in ("x" * 32_769, "é" * 16_385):
        assert (await talks.client.post(path, json={"content": long})).status_code == 422
    assert (await talks.run(run["id"]))["status"] == "waiting_for_input"
    assert await said(talks.client.post(path, json={"content": "é" * 16_384})) == {"ok": True}
    assert (await talks.ended(run["id"]))["status"] == "completed"
    await refused(talks.client.post(path, json={"content": "more"}), 409, "runs.not_active")
    speaking = await talks.speaking()
    path = f"/v1/runs/{speaking['id']}"
    await refused(talks.client.post(f"{path}/input", json={"content": "hello"}), 409, "runs.not_waiting")
    await said(talks.client.post(f"{path}:cancel"))


async def test_acceptance_9_a_stream_begins_after_a_number_and_ends_with_the_run(talks: Talks):
    run = await talks.answered()
    whole = events(await talks.raw_stream(run["id"], path="events"))
    rest = frames(await talks.raw_stream(run["id"], path="events", after_seq=2))
    told = [frame.data for frame in rest if "id" in frame.fields]
    assert told == whole[2:]
    assert all([*event][:4] == ["seq", "type", "data", "created_at"] for event in whole)
    assert whole[-1]["type"] == "run.completed"
    assert await talks.raw_stream(run["id"], path="events", after_seq=whole[-1]["seq"]) == b"", "204: nothing follows"
    live = await talks.begun("echo", "one two three")
    assert events(await talks.raw_stream(live["run_id"], path="events"))[-1]["type"] == "run.completed"


async def test_acceptance_10_a_retry_takes_the_last_answer_back_and_runs_again(talks: Talks):
    first = await talks.answered(words="Say it")
    thread = first["thread_id"]
    assert await talks.messages(thread) == [("user", "Say it"), ("assistant", "Say it")]
    made = await said(talks.client.post(f"/v1/threads/{thread}:retry"), 201)
    assert made.keys() == (await talks.start(await talks.thread())).keys()
    again = await talks.ended(made["run_id"])
    assert (again["retry_of"], again["persona_id"], again["model"]) == (first["id"], first["persona_id"], "echo")
    assert await talks.messages(thread) == [("user", "Say it"), ("assistant", "Say it")]


@pytest.mark.parametrize(("method", "path", "body"), CHECKED)
async def test_acceptance_11_keys_and_logins_are_taken_everywhere_and_nobody_else(
    server: LiveServer, talks: Talks, logins: Issuer, method: str, path: str, body: Any
):
    run = await talks.answered()
    path = path.format(thread_id=run["thread_id"], run_id=run["id"])
    user = await said(talks.client.post("/v1/users", json={"name": unique("ada"), "subject": unique("sub")}), 201)
    await said(talks.client.post("/v1/members", json={"user_id": user["id"], "role": "operator"}), 201)
    key = (await Speech(talks.client).key("admin", user_id=user["id"]))["token"]
    login = logins.token(sub=user["subject"])
    headers = {} if body or method == "POST" else SSE
    answers = []
    for token in (key, login):
        response = await server.client(token).request(method, path, json=body, headers=headers)
        answers.append((response.status_code, response.headers.get("content-type")))
        if path.endswith((":retry", "/runs")) and method == "POST":
            await talks.ended(response.json()["run_id"])
    assert answers[0] == answers[1]
    assert answers[0][0] in (200, 201, 409), "let in"
    subject = user["subject"]
    wrong = (
        None,
        "rw_unknown_Zy8qkXw3Lr5vTn2m",
        logins.token(sub=unique("nobody")),
        logins.token(sub=subject, aud="another"),
        logins.token(sub=subject, iss="https://elsewhere.example.com"),
        logins.token(sub=subject, exp=1),
        login[:-8],
    )
    for token in wrong:
        response = await server.client(token).request(method, path, json=body, headers=headers)
        assert (response.status_code, response.json()["code"]) == (401, "auth.unauthenticated")
        assert response.json().keys() >= {"error", "code", "message", "request_id", "trace_id", "details"}


@pytest.mark.parametrize(("method", "path", "body"), CHECKED)
async def test_acceptance_12_what_is_anothers_is_not_there_and_a_missing_scope_is_named(
    server: LiveServer, talks: Talks, stranger: ContractClient, method: str, path: str, body: Any
):
    run = await talks.answered()
    given = path.format(thread_id=run["thread_id"], run_id=run["id"])
    response = await stranger.request(method, given, json=body)
    if "{" in path:
        assert response.status_code == 404, response.text
    else:
        assert run["id"] not in {each["id"] for each in response.json()}
    narrow = server.client((await talks.key("jobs:trigger"))["token"])
    details = await refused(narrow.request(method, given, json=body), 403, "auth.missing_scope")
    assert details["scope"]
