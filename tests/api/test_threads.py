"""Threads over HTTP: the endpoints of seeds 001 and 003 field by field, and what they need around them.

The executing side is played by the test: it claims, asks, and finishes as an executor does, through the engine.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain.events import Draft
from runwright.domain.question import Asks, Question
from runwright.domain.redaction import RedactedText, Redactor, compose
from runwright.domain.run import Run, Wait
from runwright.domain.thread import TextPart
from runwright.engine.requests import Take
from tests.api.served import Served, ok, refused, serving
from tests.engine.deciding import gated
from tests.waiting import until

RUN_FIELDS = {
    "run_id", "org_id", "thread_id", "status", "model", "persona_id", "total_input_tokens", "total_output_tokens",
    "total_cost_usd", "duration_ms", "cache_hit_rate", "credits_used", "created_at", "completed_at", "failed_at",
    "created_by_user_id", "created_by_user_name", "created_by_email",
}  # fmt: skip
redactor = Redactor()


class Stage(Served):
    """A server, and an executing side of agent runs."""

    async def thread(self, **fields: Any) -> str:
        """Make a thread."""
        return str((await ok(self.admin.post("/v1/threads", json=fields), 201))["thread_id"])

    async def start(self, thread_id: str, **body: Any) -> dict[str, Any]:
        """Start a run of a thread."""
        found: dict[str, Any] = await ok(self.admin.post(f"/v1/threads/{thread_id}/runs", json=body), 201)
        return found

    async def claim(self) -> Run:
        """Claim the next agent run."""
        engine = self.house.services.engine
        lanes = tuple(lane for lane in await engine.store.lanes() if "/agent/" in lane)
        runs: list[Run] = await engine.commit.apply(Take(lanes, 1, "wrk-1"))
        return runs[0]

    async def finish(self, run: Run, outcome: o.Outcome, *drafts: Draft) -> Run:
        """End an attempt."""
        finish = c.Finish(run.run_id, run.lease_epoch, outcome, 0.5, drafts)
        ended: Run = await self.house.services.engine.commit.apply(finish)
        return ended

    async def answer(self, run: Run, text: str, cost: int | None = 5000) -> Run:
        """End a run with an answer that used 100 tokens, 40 of them cached, and 10."""
        services = self.house.services
        said = services.agents.threads.sealed(run.spec.project_id, "assistant", [TextPart(text)], services.clock.now())
        used = {
            "llm_call_id": "call_1", "provider": "scripted", "model": "echo", "input_tokens": 100, "cached_tokens": 40,
            "output_tokens": 10, "cost_microusd": cost, "estimated": False,
        }  # fmt: skip
        usage = Draft("usage.recorded", compose(used))
        return await self.finish(run, o.Completed(output=RedactedText(text), said=(said,)), usage)

    async def ask(self, run: Run, kind: Asks = "question", schema: dict[str, Any] | None = None) -> Run:
        """Park a run on a question."""
        question = Question(request_id=f"rq_{run.lease_epoch}", kind=kind, prompt=RedactedText("Sure?"), schema=schema)
        return await self.finish(run, o.Parked(None, Wait("input", question.request_id), question))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Stage]:
    async with serving(tmp_path, agent_slots=0) as served:
        yield Stage(served.house)


async def test_an_empty_body_starts_a_run_with_the_defaults_of_a_fresh_install(server: Stage) -> None:
    thread_id = await server.thread()
    response = await server.admin.post(f"/v1/threads/{thread_id}/runs")
    made = response.json()
    assert response.status_code == 201
    assert len(made["trace_id"]) == 32
    assert made["trace_id"] == response.headers["x-trace-id"]
    run = await ok(server.admin.get(f"/v1/runs/{made['run_id']}"))
    assert run["trace_id"] == made["trace_id"]
    assert (run["persona_id"], run["thread_id"], run["job_id"], run["kind"]) == ("default@1", thread_id, None, "agent")
    route = await ok(server.admin.get("/v1/routes/local"))
    assert (route["kind"], run["model"]) == ("local", route["model"])
    same = await ok(server.admin.get("/v1/personas/default"))
    assert (same["persona_id"], same["version"]) == ("default@1", 1)


async def test_absent_null_and_empty_are_one(server: Stage) -> None:
    thread_id = await server.thread()
    made = await server.start(thread_id, route_id="", persona_id=None, model="", input="")
    assert (await ok(server.admin.get(f"/v1/runs/{made['run_id']}")))["persona_id"] == "default@1"


async def test_a_persona_is_pinned_and_an_unknown_one_is_refused(server: Stage) -> None:
    body = {"key": "poet", "prompt": "You speak in verse.", "tools": ["files"], "budget": {"turns": 3}}
    first = await ok(server.admin.post("/v1/personas", json=body), 201)
    assert (first["persona_id"], first["version"]) == ("poet@1", 1)
    same = await ok(server.admin.post("/v1/personas", json=body), 201)
    assert same["persona_id"] == "poet@1", "what is the same already makes no version"
    second = await ok(server.admin.post("/v1/personas", json={**body, "prompt": "You speak in prose."}), 201)
    assert second["persona_id"] == "poet@2"
    thread_id = await server.thread(persona_id="poet")
    made = await server.start(thread_id, persona_id="poet@1")
    assert (await ok(server.admin.get(f"/v1/runs/{made['run_id']}")))["persona_id"] == "poet@1"
    await ok(server.admin.post(f"/v1/runs/{made['run_id']}:cancel"))
    latest = await server.start(thread_id)
    assert (await ok(server.admin.get(f"/v1/runs/{latest['run_id']}")))["persona_id"] == "poet@2"
    other = await server.thread()
    for unknown in ("poet@9", "nobody", "not a reference"):
        await refused(
            server.admin.post(f"/v1/threads/{other}/runs", json={"persona_id": unknown}), 404, "personas.not_found"
        )
    await refused(server.admin.post(f"/v1/threads/{other}/runs", json={"route_id": "nowhere"}), 404, "routes.not_found")


async def test_who_may_not_read_prompts_sees_personas_without_theirs(server: Stage) -> None:
    made = await ok(server.admin.post("/v1/personas", json={"key": "spy", "prompt": "The word is swordfish."}), 201)
    assert made["prompt"] == "The word is swordfish."
    reader = await server.key("models:read")
    privileged = await server.key("models:read", "prompts:read")
    maker = await server.key("agents:manage")
    for path in ("/v1/personas/spy", "/v1/personas/spy@1"):
        assert (await ok(reader.get(path)))["prompt"] is None
        assert (await ok(privileged.get(path)))["prompt"] == "The word is swordfish."
    listed = await ok(reader.get("/v1/personas?key=spy"))
    assert [(each["persona_id"], each["prompt"]) for each in listed] == [("spy@1", None)]
    again = {"key": "spy", "prompt": "The word is tuna."}
    assert (await ok(maker.post("/v1/personas", json=again), 201))["prompt"] is None
    thread_id = await server.thread(persona_id="spy")
    run = await server.start(thread_id, input="Hello")
    events = (await server.admin.get(f"/v1/runs/{run['run_id']}/events")).text
    assert hashlib.sha256(b"The word is tuna.").hexdigest() not in events, "a short text is guessed from its digest"
    assert "prompt_sha256" not in events


async def test_a_busy_thread_is_refused_until_its_run_has_ended(server: Stage) -> None:
    thread_id = await server.thread()
    first = await server.start(thread_id, input="one")
    path = f"/v1/threads/{thread_id}/runs"
    assert await refused(server.admin.post(path), 409, "runs.thread_busy") == {"run_id": first["run_id"]}
    await refused(server.admin.delete(f"/v1/threads/{thread_id}"), 409, "runs.thread_busy")
    await server.answer(await server.claim(), "done")
    await server.start(thread_id)


async def test_a_threads_runs_come_newest_first_within_the_limit(server: Stage) -> None:
    thread_id = await server.thread()
    made = [(await server.start(thread_id, on_busy="enqueue"))["run_id"] for _ in range(3)]
    path = f"/v1/threads/{thread_id}/runs"
    listed = await ok(server.admin.get(path))
    assert [run["run_id"] for run in listed] == made[::-1]
    assert {"run_id", "status", "created_at"} <= listed[0].keys()
    page = await server.admin.get(path, params={"limit": 2})
    assert [run["run_id"] for run in page.json()] == made[:0:-1]
    rest = await ok(server.admin.get(path, params={"limit": 2, "cursor": page.headers["x-next-cursor"]}))
    assert [run["run_id"] for run in rest] == made[:1]
    for limit in (0, 1000):
        await refused(server.admin.get(path, params={"limit": limit}), 422, "request.invalid")


async def test_a_run_in_lists_and_alone_has_every_field_of_the_seed(server: Stage) -> None:
    thread_id = await server.thread()
    made = await server.start(thread_id, input="How much?")
    await server.answer(await server.claim(), "That much.")
    (listed,) = await ok(server.admin.get("/v1/runs"))
    assert listed.keys() >= RUN_FIELDS
    assert listed == await ok(server.admin.get(f"/v1/runs/{made['run_id']}"))
    assert (listed["total_input_tokens"], listed["total_output_tokens"], listed["cache_hit_rate"]) == (100, 10, 0.4)
    assert (listed["total_cost_usd"], listed["credits_used"], listed["status"]) == (0.005, 5, "completed")
    assert (listed["completed_at"], listed["failed_at"]) == (listed["finished_at"], None)
    assert listed["duration_ms"] >= 0
    assert await ok(server.admin.get("/v1/runs", params={"status": "completed", "limit": 1})) == [listed]
    assert await ok(server.admin.get("/v1/runs", params={"status": "running"})) == []
    assert await ok(server.admin.get("/v1/runs", params={"before": made["run_id"]})) == []
    assert await ok(server.admin.get("/v1/runs", params={"project_id": "default"})) == [], "a project's list is of jobs"
    found = await ok(server.admin.get("/v1/runs", params={"project_id": "default", "kind": "agent"}))
    assert found == [listed]
    await refused(server.admin.get("/v1/runs", params={"status": "done"}), 422, "request.invalid")


async def test_a_cost_that_is_not_known_is_null(server: Stage) -> None:
    made = await server.start(await server.thread())
    await server.answer(await server.claim(), "free?", cost=None)
    run = await ok(server.admin.get(f"/v1/runs/{made['run_id']}"))
    assert (run["total_cost_usd"], run["credits_used"]) == (None, None)


async def test_a_cancel_is_repeatable_and_the_end_follows(server: Stage) -> None:
    made = await server.start(await server.thread(), input="Go on")
    path = f"/v1/runs/{made['run_id']}"
    body = {"reason": "enough", "last_seen_seq": 1}
    assert await ok(server.admin.post(f"{path}:cancel", json=body)) == {"ok": True}
    assert await ok(server.admin.post(f"{path}:cancel")) == {"ok": True}
    run = await ok(server.admin.get(path))
    assert (run["status"], run["completed_at"], run["failed_at"]) == ("cancelled", None, None)
    events = await ok(server.admin.get(f"{path}/events"))
    assert [event["type"] for event in events] == ["run.started", "run.cancelled"]
    assert (events[-1]["data"]["note"], events[-1]["data"]["last_seen_seq"]) == ("enough", 1)


async def test_the_stream_is_the_seeds_and_ends_with_the_run(server: Stage) -> None:
    made = await server.start(await server.thread(), input="Hello?")
    await server.answer(await server.claim(), "Hello!")
    path, asks = f"/v1/runs/{made['run_id']}/events", {"accept": "text/event-stream"}
    whole = await server.admin.get(path, headers=asks)
    frames = [line for line in whole.text.splitlines() if line.startswith("data: ")]
    assert [f'"seq":{n}' in frame for n, frame in enumerate(frames, 1)] == [True] * len(frames)
    assert '"type":"run.started"' in frames[0]
    assert '"type":"run.completed"' in frames[-1]
    assert all(f'"{name}":' in frames[0] for name in ("seq", "type", "data", "created_at"))
    assert "event:" not in whole.text
    rest = await server.admin.get(path, params={"after_seq": 2}, headers=asks)
    assert [line for line in rest.text.splitlines() if line.startswith("data: ")] == frames[2:]
    done = await server.admin.get(path, params={"after_seq": len(frames)}, headers=asks)
    assert done.status_code == 204


async def test_an_answer_wakes_the_run_and_only_one_is_taken(server: Stage) -> None:
    made = await server.start(await server.thread())
    path = f"/v1/runs/{made['run_id']}/input"
    await refused(server.admin.post(path, json={"content": "hello"}), 409, "runs.not_waiting")
    await server.ask(await server.claim())
    assert (await ok(server.admin.get(f"/v1/runs/{made['run_id']}")))["status"] == "waiting_for_input"
    (asked,) = await ok(server.admin.get("/v1/inputs", params={"status": "pending"}))
    assert (asked["run_id"], asked["request_id"], asked["prompt"], asked["kind"]) == (
        made["run_id"], "rq_1", "Sure?", "question",
    )  # fmt: skip
    answers = [server.admin.post(path, json={"content": f"answer {n}"}) for n in range(20)]
    statuses = sorted(response.status_code for response in await asyncio.gather(*answers))
    assert statuses == [200] + [409] * 19
    assert await ok(server.admin.get("/v1/inputs")) == []
    assert (await ok(server.admin.get(f"/v1/runs/{made['run_id']}")))["status"] == "queued"


@pytest.mark.parametrize(
    ("content", "status"), [("x" * 32_768, 200), ("x" * 32_769, 422), ("é" * 16_385, 422), ("", 422)]
)
async def test_an_answer_is_measured_in_bytes(server: Stage, content: str, status: int) -> None:
    made = await server.start(await server.thread())
    await server.ask(await server.claim())
    response = await server.admin.post(f"/v1/runs/{made['run_id']}/input", json={"content": content})
    assert response.status_code == status, response.text
    word = (await ok(server.admin.get(f"/v1/runs/{made['run_id']}")))["status"]
    assert word == ("queued" if status == 200 else "waiting_for_input")


async def test_an_answer_names_its_request_and_a_key_hears_it_once(server: Stage) -> None:
    made = await server.start(await server.thread())
    await server.ask(await server.claim())
    path, headers = f"/v1/runs/{made['run_id']}/input", {"Idempotency-Key": "k1"}
    await refused(server.admin.post(path, json={"content": "a", "request_id": "rq_0"}), 409, "runs.not_waiting")
    for _ in range(2):
        said = {"content": "b", "request_id": "rq_1"}
        assert await ok(server.admin.post(path, json=said, headers=headers)) == {"ok": True}
    other = server.admin.post(path, json={"content": "c", "request_id": "rq_1"}, headers=headers)
    await refused(other, 409, "idempotency.mismatch")
    events = await ok(server.admin.get(f"/v1/runs/{made['run_id']}/events"))
    assert [event["type"] for event in events].count("run.input_received") == 1


async def test_a_form_is_looked_at_before_it_is_taken(server: Stage) -> None:
    made = await server.start(await server.thread())
    schema = {"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]}
    await server.ask(await server.claim(), schema=schema)
    path = f"/v1/runs/{made['run_id']}/input"
    for wrong in ("big", '{"size":"big"}', "{}"):
        assert (await server.admin.post(path, json={"content": wrong})).status_code == 422
    assert await ok(server.admin.post(path, json={"content": '{"size": 3}'})) == {"ok": True}
    (kept,) = await server.house.services.engine.store.values(made["run_id"], "input")
    assert await server.house.services.engine.values.unpack((await run_of(server, made)).spec.project_id, kept) == {
        "size": 3
    }


async def run_of(server: Stage, made: dict[str, Any]) -> Run:
    record = await server.house.services.engine.store.record(made["run_id"])
    assert record is not None
    return record.run


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("YES", {"decision": "approve"}),
        ("approve", {"decision": "approve"}),
        ("No", {"decision": "deny"}),
        ('{"decision":"approve","arguments":{"path":"a"},"comment":"there"}',
         {"decision": "approve", "arguments": {"path": "a"}, "comment": "there"}),
        ("perhaps", None),
        ('{"decision":"perhaps"}', None),
    ],
)  # fmt: skip
async def test_a_confirmation_takes_yes_or_no_or_a_decision(
    server: Stage, said: str, meant: dict[str, Any] | None
) -> None:
    made = await server.start(await server.thread())
    await server.ask(await server.claim(), "confirmation")
    response = await server.admin.post(f"/v1/runs/{made['run_id']}/input", json={"content": said})
    assert response.status_code == (200 if meant else 422), response.text
    engine = server.house.services.engine
    kept = await engine.store.values(made["run_id"], "input")
    project_id = (await run_of(server, made)).spec.project_id
    assert [await engine.values.unpack(project_id, each) for each in kept] == ([meant] if meant else [])


async def test_an_approval_is_decided_elsewhere(server: Stage) -> None:
    made = await server.start(await server.thread())
    run = await server.claim()
    await server.finish(run, gated(server.house.services.engine, run.spec.project_id))
    path = f"/v1/runs/{made['run_id']}/input"
    await refused(server.admin.post(path, json={"content": "yes"}), 409, "runs.approval_required")


async def test_a_run_is_steered_while_it_lives_and_not_after(server: Stage) -> None:
    made = await server.start(await server.thread())
    path, said = f"/v1/runs/{made['run_id']}/input", {"content": "rather red", "mode": "steer"}
    assert await ok(server.admin.post(path, json=said)) == {"ok": True}
    await server.answer(await server.claim(), "done")
    await refused(server.admin.post(path, json=said), 409, "runs.not_active")
    await refused(server.admin.post(path, json={"content": "late"}), 409, "runs.not_active")


async def test_a_retry_takes_the_answer_back_and_makes_the_run_again(server: Stage) -> None:
    thread_id = await server.thread()
    await refused(server.admin.post(f"/v1/threads/{thread_id}:retry"), 409, "threads.nothing_to_retry")
    first = await server.start(thread_id, input="Hello?", model="special")
    await refused(server.admin.post(f"/v1/threads/{thread_id}:retry"), 409, "runs.thread_busy")
    await server.answer(await server.claim(), "Grr.")
    made = await ok(server.admin.post(f"/v1/threads/{thread_id}:retry"), 201)
    assert made.keys() >= {"run_id", "trace_id"}
    messages = await ok(server.admin.get(f"/v1/threads/{thread_id}/messages"))
    assert [message["content"] for message in messages] == ["Hello?"]
    run = await ok(server.admin.get(f"/v1/runs/{made['run_id']}"))
    assert (run["retry_of"], run["model"], run["triggered_by"]) == (first["run_id"], "special", "retry")


async def test_messages_have_parts_and_pages(server: Stage) -> None:
    thread_id = await server.thread(title="Talk")
    path = f"/v1/threads/{thread_id}/messages"
    upload = await server.admin.post("/v1/artifacts", content=b"\x89PNG", headers={"content-type": "image/png"})
    digest = upload.json()["digest"]
    image = {"type": "image", "artifact": digest, "media_type": "image/png"}
    await ok(server.admin.post(path, json={"parts": [{"type": "text", "text": "Look:"}, image]}), 201)
    for n in range(3):
        await ok(server.admin.post(path, json={"content": f"word {n}"}), 201)
    listed = await ok(server.admin.get(path))
    assert [message["seq"] for message in listed] == [1, 2, 3, 4]
    assert listed[0]["parts"][1] == image
    page = await server.admin.get(path, params={"limit": 3})
    rest = await ok(server.admin.get(path, params={"limit": 3, "cursor": page.headers["x-next-cursor"]}))
    assert [message["content"] for message in rest] == ["word 2"]
    missing = {"type": "file", "artifact": "0" * 64, "name": "a.txt", "media_type": "text/plain"}
    await refused(server.admin.post(path, json={"parts": [missing]}), 422, "request.invalid")
    await refused(server.admin.post(path, json={"content": "a", "parts": [image]}), 422, "request.invalid")
    await refused(server.admin.post(path, json={}), 422, "request.invalid")


async def test_what_issue_6_leaves_out_is_refused(server: Stage) -> None:
    thread_id = await server.thread()
    for path in (":fork", ":continue"):
        assert (await server.admin.post(f"/v1/threads/{thread_id}{path}")).status_code == 404
    message = await ok(server.admin.post(f"/v1/threads/{thread_id}/messages", json={"content": "a"}), 201)
    edited = server.admin.patch(f"/v1/threads/{thread_id}/messages/{message['id']}", json={"content": "b"})
    assert (await edited).status_code == 404
    bodies: tuple[dict[str, Any], ...] = ({"fallback": ["local"]}, {"mcp_servers": []})
    for body in bodies:
        assert (await server.admin.post(f"/v1/threads/{thread_id}/runs", json=body)).status_code == 422
    route = {"name": "two", "kind": "local", "model": "m", "fallback": ["local"]}
    assert (await server.admin.post("/v1/routes", json=route)).status_code == 422


async def test_a_providers_key_goes_in_and_never_comes_out(server: Stage) -> None:
    secret = "prv-live-0123456789abcdef"
    body = {"name": "openai", "kind": "openai", "api_key": secret}
    made = await server.admin.post("/v1/providers", json=body)
    assert made.status_code == 201
    shown = [
        made.text,
        (await server.admin.get("/v1/providers")).text,
        (await server.admin.get("/v1/providers/openai")).text,
    ]
    assert all(secret not in text for text in shown)
    credentials = server.house.services.agents.credentials
    kept = made.json()
    assert await credentials.key(kept["provider_id"], kept["project_id"]) == secret
    thread_id = await server.thread()
    await ok(server.admin.post(f"/v1/threads/{thread_id}/messages", json={"content": f"my key is {secret}"}), 201)
    assert secret not in (await server.admin.get(f"/v1/threads/{thread_id}/messages")).text
    fast = {"name": "fast", "kind": "openai", "model": "m", "provider": "openai", "price": {"input": 4, "output": 8}}
    await ok(server.admin.post("/v1/routes", json=fast), 201)
    await refused(server.admin.delete("/v1/providers/openai"), 409, "conflict")
    replaced = await ok(server.admin.put("/v1/providers/openai", json={"api_key": "prv-live-another-one"}))
    assert (replaced["version"], await credentials.key(kept["provider_id"], kept["project_id"])) == (
        2, "prv-live-another-one",
    )  # fmt: skip
    await ok(server.admin.delete("/v1/routes/fast"), 204)
    await ok(server.admin.delete("/v1/providers/openai"), 204)
    await refused(server.admin.get("/v1/providers/openai"), 404, "providers.not_found")


async def test_a_route_says_what_it_needs(server: Stage) -> None:
    async def wrong(**body: Any) -> list[str]:
        details = await refused(
            server.admin.post("/v1/routes", json={"name": "r", "model": "m", **body}), 422, "request.invalid"
        )
        return [each["path"] for each in details["fields"]]

    assert await wrong(kind="openai") == ["provider"]
    assert await wrong(kind="openai", provider="nobody") == ["provider"]
    assert await wrong(kind="local", provider="nobody") == ["provider"]
    await refused(server.admin.delete("/v1/routes/local"), 409, "conflict")
    changed = await ok(server.admin.patch("/v1/routes/local", json={"max_output_tokens": 64}))
    assert changed["max_output_tokens"] == 64


async def test_a_run_that_is_waited_for_answers_when_it_has_ended(server: Stage) -> None:
    thread_id = await server.thread()
    waiting = asyncio.create_task(server.admin.post(f"/v1/threads/{thread_id}/runs", params={"wait": 30}))
    await until(lambda: ok(server.admin.get(f"/v1/threads/{thread_id}/runs")))
    await server.answer(await server.claim(), "done")
    assert (await waiting).json()["status"] == "completed"
    now = await ok(server.admin.post(f"/v1/threads/{thread_id}/runs", params={"wait": 0}), 201)
    assert now["status"] == "queued"
    assert (await server.admin.post(f"/v1/threads/{thread_id}/runs", params={"wait": 61})).status_code == 422


async def test_a_thread_is_erased_with_its_runs(server: Stage) -> None:
    thread_id = await server.thread(title="Private", metadata={"who": "me"})
    made = await server.start(thread_id, input="My name is Ada.")
    await refused(server.admin.post(f"/v1/threads/{thread_id}/erase"), 409, "runs.thread_busy")
    await server.answer(await server.claim(), "Hello Ada.")
    assert await ok(server.admin.post(f"/v1/threads/{thread_id}/erase")) == {"thread_id": thread_id, "erased_runs": 1}
    await refused(server.admin.get(f"/v1/threads/{thread_id}"), 404, "threads.not_found")
    run = await ok(server.admin.get(f"/v1/runs/{made['run_id']}"))
    assert (run["erased_at"] is not None, run["payload"]) == (True, {})
    assert "Ada" not in (await server.admin.get(f"/v1/runs/{made['run_id']}/events")).text
    rows = await server.house.services.engine.store.record(made["run_id"])
    assert rows is not None
    await ok(server.admin.post(f"/v1/threads/{thread_id}/erase"))


async def test_another_organization_sees_nothing_of_it(server: Stage) -> None:
    thread_id = await server.thread()
    made = await server.start(thread_id)
    await server.ask(await server.claim())
    other = await server.neighbour()
    for call in (
        other.get(f"/v1/threads/{thread_id}"),
        other.post(f"/v1/threads/{thread_id}/runs"),
        other.post(f"/v1/threads/{thread_id}:retry"),
        other.get(f"/v1/threads/{thread_id}/messages"),
        other.delete(f"/v1/threads/{thread_id}"),
    ):
        await refused(call, 404, "threads.not_found")
    await refused(other.post(f"/v1/runs/{made['run_id']}/input", json={"content": "a"}), 404, "runs.not_found")
    assert await ok(other.get("/v1/inputs")) == await ok(other.get("/v1/threads")) == []
    route = await ok(server.admin.get("/v1/routes/local"))
    await refused(other.get(f"/v1/routes/{route['id']}"), 404, "routes.not_found")


async def test_each_scope_opens_its_own_and_no_more(server: Stage) -> None:
    thread_id = await server.thread()
    reader = await server.key("threads:read")
    await ok(reader.get(f"/v1/threads/{thread_id}"))
    for call in (reader.post("/v1/threads"), reader.get("/v1/routes"), reader.post(f"/v1/threads/{thread_id}/runs")):
        await refused(call, 403, "auth.missing_scope")
    models = await server.key("models:read")
    await ok(models.get("/v1/personas"))
    await refused(models.post("/v1/personas", json={"key": "a"}), 403, "auth.missing_scope")


async def test_replay_and_reschedule_of_an_agent_run_name_the_retry(server: Stage) -> None:
    made = await server.start(await server.thread())
    at = {"scheduled_at": "2020-01-01T00:00:00Z"}
    response: httpx2.Response = await server.admin.post(f"/v1/runs/{made['run_id']}/reschedule", json=at)
    assert (response.status_code, ":retry" in response.json()["message"]) == (409, True)
    await server.answer(await server.claim(), "done")
    response = await server.admin.post(f"/v1/runs/{made['run_id']}/replay", json={"force": True})
    assert (response.status_code, ":retry" in response.json()["message"]) == (409, True)
