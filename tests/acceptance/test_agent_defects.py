"""Defects that agent runs must not have, as they show over HTTP; the other half is in `tests/engine`.

A test is named `test_defect_` and its number; a house test counts them.
"""

import asyncio
import re

import pytest

from tests.acceptance.contract import ContractClient
from tests.acceptance.frames import events, frames, seqs
from tests.acceptance.live_server import LiveServer
from tests.acceptance.speech import SSE, Json, Speech, refused, said, unique
from tests.acceptance.talks import Talks
from tests.agents.model_server import serving as models_serving

pytestmark = pytest.mark.xdist_group("acceptance-jobs")

STREAMS = 25
FIXED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


async def test_defect_5_who_may_read_a_run_reads_no_prompt_of_it(server: LiveServer, talks: Talks):
    key = unique("secretive")
    await said(talks.client.post("/v1/personas", json={"key": key, "prompt": "The secret of the house."}), 201)
    run = await talks.answered(persona_id=key)
    (asked,) = [event for event in await talks.events(run["id"]) if event["type"] == "llm.request"]
    reader = Speech(server.client((await talks.key("runs:read", "threads:read"))["token"]))
    raw = await reader.raw_stream(run["id"], path="events")
    assert b"The secret of the house." not in raw
    path = f"/v1/runs/{run['id']}/values/"
    for digest in asked["data"]["prompt"]:
        details = await refused(reader.client.get(path + digest), 403, "auth.missing_scope")
        assert details == {"scope": "prompts:read"}
    allowed = server.client((await talks.key("prompts:read"))["token"])
    told = [await said(allowed.get(path + digest)) for digest in asked["data"]["prompt"]]
    assert [each["kind"] for each in told] == ["prompt", "prompt"]
    assert told[0]["value"]["system"] == "The secret of the house."
    assert told[1]["value"]["parts"] == [{"type": "text", "text": "Hello"}]


async def test_defect_9_many_streams_hear_all_at_once_and_end_with_the_run(talks: Talks):
    run = await talks.asking()
    following = [asyncio.create_task(talks.raw_stream(run["id"], path="events")) for _ in range(STREAMS)]
    await said(talks.client.post(f"/v1/runs/{run['id']}/input", json={"content": "red"}))
    heard = [events(raw) for raw in await asyncio.gather(*following)]
    whole = await talks.events(run["id"])
    for found in heard:
        assert seqs(found) == seqs(whole) == list(range(1, len(whole) + 1))
        assert found[-1]["type"] == "run.completed"


async def test_defect_9_a_stream_goes_on_after_the_last_event_that_it_was_shown(talks: Talks):
    run = await talks.answered()
    last = run["last_seq"]
    for seen in range(1, last):
        rest = frames(await talks.raw_stream(run["id"], path="events", last=seen, after_seq=0))
        assert [frame.seq for frame in rest if "id" in frame.fields] == list(range(seen + 1, last + 1))
    assert await talks.raw_stream(run["id"], path="events", last=last) == b""


async def test_defect_11_who_may_see_a_run_in_a_list_may_get_it_and_the_reverse(
    server: LiveServer, admin: ContractClient, talks: Talks
):
    project = await talks.project()
    user = await said(admin.post("/v1/users", json={"name": unique("ann")}), 201)
    elsewhere = (await said(admin.post("/v1/organizations", json={"slug": unique("else")}), 201))["token"]
    own = Talks(server.client((await talks.key("admin", user_id=user["id"]))["token"]))
    bound = Talks(server.client((await talks.key("admin", project_id=project))["token"]))
    foreign = Talks(server.client(elsewhere))
    made = [(await each.answered())["id"] for each in (talks, own, bound, foreign)]
    seen: list[list[bool]] = []
    for caller in (talks, own, bound, foreign):
        listed = {run["id"] for run in await caller.listed("/v1/runs", kind="agent", limit=500)}
        got = [(await caller.client.get(f"/v1/runs/{run_id}")).status_code == 200 for run_id in made]
        path = "/v1/runs/{}/events"
        told = [(await caller.client.get(path.format(run_id), headers=SSE)).status_code == 200 for run_id in made]
        assert [run_id in listed for run_id in made] == got == told
        seen.append(got)
    assert seen == [
        [True, True, True, False],
        [True, True, True, False],
        [False, False, True, False],
        [False, False, False, True],
    ]


async def test_defect_18_traces_are_the_runs_own_parameters_are_checked_and_instants_are_of_one_width(talks: Talks):
    made = await talks.begun("echo")
    run = await talks.ended(made["run_id"])
    assert run["trace_id"] == made["trace_id"]
    path = f"/v1/runs/{run['id']}"
    await refused(talks.client.get("/v1/runs", params={"status": "done"}), 422, "request.invalid")
    for wrong in ("x", "-1", "1.5", "0x1", ""):
        for headers in ({}, SSE):
            answer = await talks.client.get(f"{path}/events", params={"after_seq": wrong}, headers=headers)
            assert answer.status_code == 422, wrong
    told = events(await talks.raw_stream(run["id"], path="events"))
    instants = [event["created_at"] for event in told] + [run["created_at"], run["completed_at"]]
    assert all(FIXED.fullmatch(each) for each in instants)
    assert instants[: len(told)] == sorted(instants[: len(told)])


@pytest.mark.parametrize("kind", ["openai-compatible", "openai", "anthropic"])
async def test_defect_21_what_a_provider_refuses_is_not_asked_again(lenient: LiveServer, kind: str):
    talks = Talks(lenient.client())
    async with models_serving("echo_half_key") as models:  # a 400 that repeats half of the key
        run = await _asked_of(talks, kind, models.url)
        assert len(models.asked) == 1
    assert (run["status"], run["error_class"]) == ("failed", "ProviderRejected")
    assert run["total_cost_usd"] in (None, 0)


async def _asked_of(talks: Talks, kind: str, url: str) -> Json:
    """Return a run that a provider was asked for, once it has ended."""
    provider = {"name": unique("prov"), "kind": kind, "base_url": url, "api_key": unique("sk-hidden-key")}
    await said(talks.client.post("/v1/providers", json=provider), 201)
    route = {"name": unique("route"), "kind": kind, "model": "m", "provider": provider["name"]}
    made = await said(talks.client.post("/v1/routes", json=route), 201)
    thread = await said(talks.client.post("/v1/threads", json={"route_id": made["id"]}), 201)
    return await talks.ended((await talks.start(thread["id"]))["run_id"])
