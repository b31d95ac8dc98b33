"""What an endpoint calls while it works on a run: what is answered, what readers then see, and what is refused."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runwright import ids
from runwright.config import Settings
from tests.api.accepted import Scene, scene
from tests.api.served import ok, refused

SECRET = "hunter2-hunter2-hunter2"


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(tmp_path_factory.mktemp("sdk")) as made:
        await made.job()
        yield made


async def test_the_payload_comes_back_exact(world: Scene):
    payload = {"password": SECRET, "n": [1, 2.5, None], "ü": {"a": {}}}
    run = await world.accepted(payload)
    assert await run.get("payload") == payload
    assert (await world.run(run.run_id))["payload"] != payload, "readers see it redacted"


async def test_appendix_c_23_secrets_are_fetched_with_the_token_and_hidden_wherever_they_are_said(world: Scene):
    admin = world.server.admin
    body = {"name": "staging", "variables": {"REGION": "eu"}}
    await ok(admin.post("/v1/environments", json=body), 201)
    made = await ok(admin.post("/v1/secrets", json={"name": "API_KEY", "value": "tangerine-dream"}), 201)
    body = {"name": "HERE", "value": "and-another-one", "environment": "staging"}
    await ok(admin.post("/v1/secrets", json=body), 201)
    await world.job("staged", environment="staging", max_attempts=1)
    run = await world.accepted(slug="staged")
    answer = await run.client.get(run.path("secrets"))
    assert answer.json()["secrets"] == {"API_KEY": "tangerine-dream", "HERE": "and-another-one"}
    assert (answer.json()["env"], answer.headers["cache-control"]) == ({"REGION": "eu"}, "no-store")
    sent = [each for each in world.endpoint.received if each.headers["runwright-run-id"] == run.run_id]
    assert not any("tangerine" in text for each in sent for text in each.headers.values()), "never as a header"
    said = await run.call("log", {"message": "use tangerine-dream", "data": {"k": "and-another-one"}})
    assert (said["message"], said["data"]["k"]) == ("use [redacted:known]", "[redacted:known]")
    await ok(admin.put(f"/v1/secrets/{made['id']}", json={"value": "clementine-sky"}))
    assert (await run.get("secrets"))["secrets"]["API_KEY"] == "clementine-sky"
    await run.call("stream", {"chunk": "clementine-sky, tangerine-"}, 200)
    await run.call("stream", {"chunk": "dream", "done": True}, 200)
    chunks = "".join(each["data"]["chunk"] for each in await world.events(run.run_id, "stream.chunk"))
    assert chunks == "[redacted:known], [redacted:known]"
    await run.call("fail", {"error": "clementine-sky was refused", "retryable": False}, 200)
    assert (await world.run(run.run_id))["error"] == "[redacted:known] was refused"
    for path in ("/v1/secrets", "/v1/environments", f"/v1/runs/{run.run_id}/events", "/v1/audit"):
        assert not {"tangerine-dream", "clementine-sky"} & set((await admin.get(path)).text.replace('"', " ").split())
    await refused(run.client.get(run.path("secrets")), 410, "runs.ended")


async def test_a_worker_is_given_secrets_with_its_assignment(world: Scene):
    admin = world.server.admin
    await ok(admin.post("/v1/environments", json={"name": "working", "variables": {"LEVEL": "9"}}), 201)
    body = {"name": "WORK_KEY", "value": "mandarin-orange", "environment": "working"}
    await ok(admin.post("/v1/secrets", json=body), 201)
    await ok(admin.post("/v1/jobs", json={"slug": "by-worker", "environment": "working"}), 201)
    await ok(admin.post("/v1/jobs/by-worker/trigger"), 201)
    claim = {"worker_id": ids.new_id("wrk", 1), "jobs": ["by-worker"], "slots": 1, "free": 1}
    (given,) = (await ok(admin.post("/v1/worker/claim", json=claim)))["assignments"]
    assert (given["secrets"]["WORK_KEY"], given["env"]) == ("mandarin-orange", {"LEVEL": "9"})
    item = {"run_id": given["run_id"], "lease_epoch": given["lease_epoch"], "number": 1}
    item["savings"] = [{"events": [{"type": "log", "message": "it is mandarin-orange"}]}]
    await ok(admin.post("/v1/worker/append", json={"worker_id": claim["worker_id"], "items": [item]}))
    (line,) = await world.events(given["run_id"], "log")
    assert line["message"] == "it is [redacted:known]"


async def test_a_line_of_the_log_is_answered_with_its_event(world: Scene):
    run = await world.accepted()
    made = await run.call("log", {"message": "hello", "level": "warn", "data": {"a": 1}, "type": "mine"})
    assert (made["type"], made["level"], made["message"]) == ("log", "warning", "hello")
    assert made["data"] == {"a": 1, "type": "mine"}
    assert made.pop("stop") is None
    assert (await world.events(run.run_id, "log")) == [made]
    plain = await run.call("log", {"message": "again"})
    assert (plain["level"], plain["data"], plain["seq"]) == ("info", {}, made["seq"] + 1)


async def test_progress_needs_a_percentage_alone(world: Scene):
    run = await world.accepted()
    bare = await run.call("progress", {"percent": 12.5})
    assert (bare["type"], bare["data"]) == ("run.progress", {"percent": 12.5, "message": ""})
    full = await run.call("progress", {"percent": 100, "message": "done", "step": "last", "eta_seconds": 0})
    assert full["data"] == {"percent": 100, "message": "done", "step": "last", "eta_seconds": 0}
    for percent in (-1, 100.5, "50", None, True):
        await refused(run.client.post(run.path("progress"), json={"percent": percent}), 422, "request.invalid")


async def test_rounds_and_the_use_of_the_machine_are_records_too(world: Scene):
    run = await world.accepted()
    round_ = await run.call("iteration", {"iteration": 2, "description": "again"})
    assert (round_["type"], round_["data"], round_["message"]) == (
        "iteration.reported",
        {"iteration": 2, "description": "again"},
        "again",
    )
    used = await run.call("resources", {"cpu_percent": 12.5, "memory_mb": 100})
    assert (used["type"], used["data"]) == ("resources.reported", {"cpu_percent": 12.5, "memory_mb": 100})
    for verb, body in (("iteration", {"iteration": 0}), ("iteration", {}), ("resources", {"cpu_percent": -1})):
        await refused(run.client.post(run.path(verb), json=body), 422, "request.invalid")


async def test_annotations_join_the_metadata(world: Scene):
    run = await world.accepted(metadata={"a": "1", "b": "1"})
    made = await run.call("annotate", {"annotations": {"b": "2", "c": "3"}}, 200)
    assert made["metadata"] == {"a": "1", "b": "2", "c": "3"}
    assert (await world.run(run.run_id))["metadata"] == made["metadata"]


async def test_annotations_that_are_too_many_or_too_long_are_refused(world: Scene):
    run = await world.accepted()
    await run.call("annotate", {"annotations": {str(n): "x" * 1024 for n in range(50)}}, 200)
    for wrong in ({"51": "x"}, {"k" * 129: "x"}, {"": "x"}, {"1": "x" * 1025}):
        details = await refused(
            run.client.post(run.path("annotate"), json={"annotations": wrong}), 422, "request.invalid"
        )
        assert details["fields"][0]["path"].startswith("annotations")


async def test_checkpoints_are_counted_by_the_server(world: Scene):
    run = await world.accepted()
    first = await run.call("checkpoint", {"state": {"at": 1}})
    second = await run.call("checkpoint", {"state": {"at": 2}, "source": "mine"})
    assert [(each["sequence"], each["source"], each["state"]) for each in (first, second)] == [
        (1, "sdk", {"at": 1}),
        (2, "mine", {"at": 2}),
    ]
    kept = await ok(world.server.admin.get(f"/v1/runs/{run.run_id}/checkpoints"))
    assert kept == [{name: value for name, value in each.items() if name != "stop"} for each in (first, second)]


async def test_the_last_checkpoint_comes_back_exact_also_that_which_a_replay_begins_with(world: Scene):
    run = await world.accepted()
    await refused(run.client.get(run.path("checkpoint")), 404, "checkpoints.not_found")
    for state in ({"at": 1, "password": SECRET}, {"at": 2}):
        await run.call("checkpoint", {"state": state})
    last = await run.get("checkpoint")
    assert (last["sequence"], last["state"], last["run_id"]) == (2, {"at": 2}, run.run_id)
    await run.call("complete", None, 200)
    body = {"force": True, "from_checkpoint": 1}
    replay = await ok(world.server.admin.post(f"/v1/runs/{run.run_id}/replay", json=body), 201)
    again = await world.entrusted(replay["id"], 1)
    first = await again.get("checkpoint")
    assert (first["sequence"], first["state"]) == (1, {"at": 1, "password": SECRET}), "exact for the run's own code"
    await again.call("complete", None, 200)


async def test_checkpoints_of_calls_at_once_never_collide(world: Scene):
    run = await world.accepted()
    made = await asyncio.gather(*(run.call("checkpoint", {"state": {"n": n}}) for n in range(40)))
    assert sorted(each["sequence"] for each in made) == list(range(1, 41))
    kept = await ok(world.server.admin.get(f"/v1/runs/{run.run_id}/checkpoints?limit=100"))
    assert {each["state"]["n"] for each in kept} == set(range(40)), "none took another's place"


async def test_the_first_calls_of_a_run_at_once_take_turns_too(tmp_path: Path):
    async with scene(tmp_path, remote_attempts_max=1) as world:
        await world.job()
        one, other = await world.accepted(), await world.accepted()
        calls = [run.call("checkpoint", {"state": {"n": n}}) for n in range(20) for run in (one, other)]
        made = await asyncio.gather(*calls)
        for run in (one, other):
            mine = sorted(each["sequence"] for each in made if each["run_id"] == run.run_id)
            assert mine == list(range(1, 21)), "the server remembers one attempt only, and finds each again"


@pytest.mark.parametrize("spelling", ["output_key", "key"])
async def test_outputs_have_two_spellings_and_a_schema(world: Scene, spelling: str):
    run = await world.accepted()
    schema = {"type": "object", "required": ["a"]}
    made = await run.call("output", {spelling: "report", "value": {"a": 1}, "schema": schema})
    assert (made["output_key"], made["value"], made["schema"]) == ("report", {"a": 1}, schema)
    again = await run.call("output", {spelling: "report", "value": [1]})
    assert (again["value"], again["schema"]) == ({"value": [1]}, None)
    kept = await ok(world.server.admin.get(f"/v1/runs/{run.run_id}/outputs"))
    assert kept == [{name: value for name, value in again.items() if name != "stop"}]
    wrong = {spelling: "report", "value": {"b": 1}, "schema": schema}
    details = await refused(run.client.post(run.path("output"), json=wrong), 422, "output.schema_mismatch")
    assert details["fields"][0]["path"] == "value"
    assert len(await world.events(run.run_id, "output.saved")) == 2


async def test_usage_is_listed_with_its_totals(world: Scene):
    run = await world.accepted()
    made = [
        await run.call("usage", {"provider": "p", "model": "m", "prompt_tokens": 3, "completion_tokens": 4}),
        await run.call("usage", {"provider": "p", "model": "m", "total_tokens": 10, "cost_microusd": 7}),
    ]
    assert [each["total_tokens"] for each in made] == [7, 10]
    response = await world.server.admin.get(f"/v1/runs/{run.run_id}/usage?limit=1")
    first = {name: value for name, value in made[0].items() if name != "stop"}
    assert response.json() == [first]
    totals = {name: value for name, value in response.headers.items() if name.startswith("x-total-")}
    assert totals == {
        "x-total-prompt-tokens": "3",
        "x-total-completion-tokens": "4",
        "x-total-tokens": "17",
        "x-total-cost-microusd": "7",
    }, "of the whole list, not of the page"
    cursor = response.headers["x-next-cursor"]
    rest = await ok(world.server.admin.get(f"/v1/runs/{run.run_id}/usage", params={"cursor": cursor}))
    assert [each["id"] for each in rest] == [made[1]["id"]]


async def test_tool_calls_are_listed_in_both_orders(world: Scene):
    run = await world.accepted()
    made = [
        await run.call("tool-call", {"tool_name": "search", "input": {"q": 1}, "output": [1], "duration_ms": 5}),
        await run.call("tool-call", {"tool_name": "fetch", "status": "failed"}),
    ]
    assert made[0]["output"] == {"value": [1]}
    assert (made[1]["input"], made[1]["output"], made[1]["status"]) == (None, None, "failed")
    path = f"/v1/runs/{run.run_id}/tool-calls"
    names = {order: [each["tool_name"] for each in await ok(world.server.admin.get(path, params={"order": order}))]
             for order in ("asc", "desc")}  # fmt: skip
    assert names == {"asc": ["search", "fetch"], "desc": ["fetch", "search"]}
    page = await world.server.admin.get(path, params={"order": "desc", "limit": 1})
    after = await ok(world.server.admin.get(path, params={"order": "desc", "cursor": page.headers["x-next-cursor"]}))
    assert [each["tool_name"] for each in after] == ["search"]
    assert await ok(world.server.admin.get(path, params={"cursor": made[1]["created_at"]})) == []


async def test_chunks_are_streamed_and_nothing_else(world: Scene):
    run = await world.accepted()
    await run.call("stream", {"chunk": "one. "}, 200)
    await run.call("log", {"message": "between"})
    await run.call("stream", {"chunk": "two. ", "stream_id": "other", "done": True}, 200)
    await run.call("complete", None, 200)
    response = await world.server.admin.get(f"/v1/runs/{run.run_id}/stream/chunks")
    frames = [line for line in response.text.splitlines() if line.startswith("data:")]
    assert len(frames) == 2
    assert '"chunk":"one. "' in frames[0]
    assert '"stream_id":"other"' in frames[1]
    named = await world.server.admin.get(f"/v1/runs/{run.run_id}/stream/chunks?named=true&follow=false")
    assert named.text.count("event: stream.chunk") == 2
    seen = (await world.events(run.run_id, "stream.chunk"))[-1]["seq"]
    assert seen < (await world.run(run.run_id))["last_seq"]
    back = {"last-event-id": str(seen)}
    response = await world.server.admin.get(f"/v1/runs/{run.run_id}/stream/chunks", headers=back)
    assert response.status_code == 204, "or an EventSource would come back for ever"


@pytest.mark.parametrize("spelling", ["state_key", "key"])
async def test_state_is_kept_read_exact_and_forgotten(world: Scene, spelling: str):
    run = await world.accepted()
    made = await run.call("state", {spelling: "token", "value": {"password": SECRET}})
    await run.call("state", {spelling: "n", "value": 7})
    assert (made["state_key"], made["value"], made["stop"]) == ("token", {"password": SECRET}, None)
    assert [(each["state_key"], each["value"]) for each in await run.get("state")] == [
        ("n", 7),
        ("token", {"password": SECRET}),
    ]
    assert (await run.get("state/n"))["value"] == 7
    seen = await ok(world.server.admin.get(f"/v1/runs/{run.run_id}/state"))
    assert [(each["run_id"], each["state_key"]) for each in seen] == [(run.run_id, "token"), (run.run_id, "n")]
    assert seen[1]["value"] == {"value": 7}
    assert SECRET not in str(seen)
    for _ in range(2):
        assert (await run.client.delete(run.path("state/n"))).status_code == 204
    assert len(await world.events(run.run_id, "state.deleted")) == 1, "what is not there is not deleted"
    await refused(run.client.get(run.path("state/n")), 404, "values.not_found")


async def test_state_outlives_the_attempt(world: Scene):
    run = await world.accepted()
    await run.call("state", {"key": "a", "value": 1})
    await run.call("checkpoint", {"state": {}})
    await run.call("fail", {"error": "again"}, 200)
    again = await world.entrusted(run.run_id, 2)
    assert (await again.get("state/a"))["value"] == 1
    assert (await again.call("checkpoint", {"state": {}}))["sequence"] == 2


async def test_a_value_of_the_state_has_a_limit(world: Scene):
    run = await world.accepted()
    most = Settings().state_value_max_bytes
    await run.call("state", {"key": "k" * 256, "value": "x" * (most - 2)})
    await refused(
        run.client.post(run.path("state"), json={"key": "a", "value": "x" * (most - 1)}), 413, "request.too_large"
    )
    for key in ("", "k" * 257, "a/b", ".", ".."):
        await refused(run.client.post(run.path("state"), json={"key": key, "value": 1}), 422, "request.invalid")


async def test_a_limit_of_the_state_is_a_setting(tmp_path: Path):
    async with scene(tmp_path, state_value_max_bytes=8) as world:
        await world.job()
        run = await world.accepted()
        await run.call("state", {"key": "a", "value": "x" * 6})
        await refused(run.client.post(run.path("state"), json={"key": "a", "value": "x" * 7}), 413, "request.too_large")


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (None, None),
        ({}, None),
        ({"result": None}, None),
        ({"result": {"a": 1}}, {"a": 1}),
        ({"result": [1]}, {"value": [1]}),
        ({"result": "text"}, {"value": "text"}),
    ],
)
async def test_a_run_completes_with_a_result_or_without(world: Scene, body: Any, result: Any):
    run = await world.accepted()
    made = await run.call("complete", body, 200)
    assert (made["status"], made["result"], made.pop("stop")) == ("completed", result, None)
    assert await world.run(run.run_id) == made


async def test_a_failure_is_retried_and_the_last_is_dead_lettered(world: Scene):
    run = await world.accepted(max_attempts_override=2)
    made = await run.call("fail", {"error": f"password={SECRET}", "error_class": "Broken"}, 200)
    assert (made["state"], made["reason"], made["error_class"]) == ("scheduled", "retry", "Broken")
    assert SECRET not in made["error"]
    again = await world.entrusted(run.run_id, 2)
    last = await again.call("fail", {"error": "boom"}, 200)
    assert (last["status"], last["attempt"], last["error_class"]) == ("dead_letter", 2, "Error")


async def test_a_failure_that_is_not_retryable_is_the_last(world: Scene):
    run = await world.accepted()
    made = await run.call("fail", {"error": "no", "retryable": False}, 200)
    assert (made["status"], made["reason"], made["attempt"]) == ("dead_letter", "rejected", 1)
    single = await world.accepted(max_attempts_override=1)
    made = await single.call("fail", {"error": "no", "retryable": False}, 200)
    assert (made["status"], made["dead_lettered_at"]) == ("failed", None)


# --- stop requests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verb", "word"), [("cancel", "cancel"), ("pause", "pause")])
async def test_every_answer_tells_what_the_run_is_asked_to_do(world: Scene, verb: str, word: str):
    run = await world.accepted()
    asking = asyncio.create_task(stop(world, run.run_id, verb))
    await world.seen(run.run_id, f"run.{verb}_requested")
    calls: dict[str, Any] = {
        "log": {"message": "x"},
        "progress": {"percent": 1},
        "annotate": {"annotations": {}},
        "heartbeat": None,
        "checkpoint": {"state": {}},
        "output": {"key": "a", "value": 1},
        "usage": {"provider": "p", "model": "m"},
        "tool-call": {"tool_name": "t"},
        "stream": {"chunk": "c"},
        "state": {"key": "a", "value": 1},
    }
    for name, body in calls.items():
        response = await run.client.request("POST", run.path(name), json=body)
        assert (response.json()["stop"], response.headers["x-runwright-stop"]) == (word, word), name
    for name in ("payload", "state", "state/a"):
        assert (await run.client.get(run.path(name))).headers["x-runwright-stop"] == word
    assert (await run.client.delete(run.path("state/a"))).headers["x-runwright-stop"] == word
    ended = await run.call("fail", {"error": "as you wish"}, 200)
    assert (ended["state"], ended["stop"]) == ({"cancel": "cancelled", "pause": "paused"}[word], None)
    confirmed = await world.events(run.run_id, f"run.{ended['state']}")
    assert confirmed[0]["data"]["confirmed"] is True
    await asking


async def stop(world: Scene, run_id: str, verb: str) -> None:
    if verb == "cancel":
        await ok(world.server.admin.delete(f"/v1/runs/{run_id}"))
    else:
        await ok(world.server.admin.post(f"/v1/runs/{run_id}/pause"))


async def test_a_completion_stands_though_a_stop_was_asked_for(world: Scene):
    run = await world.accepted()
    asking = asyncio.create_task(world.server.admin.post(f"/v1/runs/{run.run_id}:cancel"))
    await world.seen(run.run_id, "run.cancel_requested")
    assert (await run.call("complete", {"result": {"a": 1}}, 200))["status"] == "completed"
    await asking


async def test_every_answer_names_what_can_be_called(world: Scene):
    run = await world.accepted()
    response = await run.client.post(run.path("heartbeat"), headers={"X-SDK-Version": "0.1.1"})
    named = response.headers["x-sdk-capabilities"].split(",")
    document = (await world.server.admin.get("/openapi.json")).json()["paths"]
    paths = {path.split("/")[5] for path in document if path.startswith("/sdk/v1/runs/")}
    assert set(named) == paths
    assert "x-runwright-stop" not in response.headers


# --- what is stored is redacted ---------------------------------------------------------------------------------------


async def test_no_secret_that_a_job_writes_is_shown_to_readers(world: Scene):
    run = await world.accepted()
    told = f"password={SECRET}"
    await run.call("log", {"message": told, "data": {"password": SECRET}})
    await run.call("progress", {"percent": 1, "message": told})
    await run.call("annotate", {"annotations": {"password": SECRET}}, 200)
    await run.call("checkpoint", {"state": {"password": SECRET}})
    await run.call("output", {"key": "a", "value": {"password": SECRET}})
    await run.call("tool-call", {"tool_name": "t", "input": {"password": SECRET}, "output": told})
    await run.call("stream", {"chunk": f"password={SECRET[:5]}"}, 200)
    await run.call("stream", {"chunk": SECRET[5:] + " and more", "done": True}, 200)
    await run.call("state", {"key": "a", "value": {"password": SECRET}})
    await run.call("complete", {"result": {"password": SECRET}}, 200)
    admin = world.server.admin
    for what in ("", "/events", "/checkpoints", "/outputs", "/tool-calls", "/state", "/usage", "/stream/chunks"):
        text = (await admin.get(f"/v1/runs/{run.run_id}{what}")).text
        assert SECRET not in text, what
        assert SECRET[5:] not in text, what
    assert "and more" in (await admin.get(f"/v1/runs/{run.run_id}/stream/chunks")).text
