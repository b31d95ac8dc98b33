"""The published client of the seed's family, `strait-python`, as it is, against a server of ours.

Every call that it makes of jobs and of runs, and every call that its run context makes from inside a job.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest
from strait import ApiError, AsyncClient, Client, ConflictError, NotFoundError, UnauthorizedError
from strait.authoring import JobOptions, define_job
from strait.authoring._run_context_client import create_run_context
from strait.composition import WaitForRunOptions, wait_for_run_async
from strait.fsm import RunStatus

from tests.acceptance.live_server import API_KEY, LiveServer
from tests.acceptance.speech import Json, later, unique
from tests.executors import endpoint as e
from tests.executors.endpoint import Endpoint, Received, answer

QUICK = WaitForRunOptions(initial_delay_ms=10, max_delay_ms=100)


Strait = Any
"""The client: it types what it returns as objects of another service, so the tests take it as it comes."""


class Inside(NamedTuple):
    """An attempt as the code behind the endpoint has it: the client's run context, what it calls with, the request."""

    ctx: Any
    client: Strait
    received: Received


class House:
    """A server, its administrator's client, and an endpoint that accepts every run and leaves it to the test."""

    def __init__(self, live: LiveServer, endpoint: Endpoint, opened: AsyncExitStack) -> None:
        self.url = live.url
        self.endpoint = endpoint
        self._opened = opened
        self._arrived = asyncio.Event()
        self._taken = 0
        endpoint.respond = self._respond

    async def client(self, **auth: Any) -> Strait:
        """Return a client of the server, closed at the end."""
        return await self._opened.enter_async_context(AsyncClient(base_url=self.url, **auth))

    async def inside(self, run_id: str) -> Inside:
        """Wait for the next request, which is for this run, and stand where its code stands."""
        async with asyncio.timeout(30):
            while len(self.endpoint.received) <= self._taken:
                self._arrived.clear()
                await self._arrived.wait()
        received = self.endpoint.received[self._taken]
        self._taken += 1
        assert received.headers["x-run-id"] == run_id
        client = await self.client(run_token=received.headers["x-run-token"])
        return Inside(create_run_context(client.sdk_runs, run_id, int(received.headers["x-attempt"])), client, received)

    async def _respond(self, received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(status="202 Accepted"))
        self._arrived.set()


@pytest.fixture
async def house(lenient: LiveServer) -> AsyncIterator[House]:
    async with e.serving(e.always(b"")) as endpoint, AsyncExitStack() as opened:
        yield House(lenient, endpoint, opened)


@pytest.fixture
async def client(house: House) -> Strait:
    return await house.client(api_key=API_KEY)


async def job(house: House, client: Strait, **fields: Any) -> Json:
    """Make a job as the client's own definitions ask for it."""
    slug = unique("strait")
    told = define_job(JobOptions(name=slug, slug=slug, endpoint_url=house.endpoint.url, **fields))
    return dict(await client.jobs.create(told.to_registration_body("default")))


async def ended(client: Strait, run_id: str) -> Json:
    """Wait for a run as the client waits."""
    return dict(await wait_for_run_async(client.runs.get, lambda run: run["status"], run_id, QUICK))


async def test_a_job_that_the_client_defines_has_what_it_says(house: House, client: Strait) -> None:
    fields: Json = {
        "description": "made by another's client",
        "tags": {"team": "a"},
        "cron": "0 3 * * *",
        "timezone": "Europe/Berlin",
        "execution_window_cron": "* * * * *",
        "max_concurrency": 4,
        "rate_limit_max": 100,
        "rate_limit_window_secs": 60,
        "max_attempts": 4,
        "retry_strategy": "custom",
        "retry_delays_secs": [1, 5, 30],
        "timeout_secs": 600,
        "run_ttl_secs": 900,
        "dedup_window_secs": 10,
        "webhook_url": "http://127.0.0.1:9/ended",
        "fallback_endpoint_url": "http://127.0.0.1:9/",
    }
    made = await job(house, client, **fields)
    del fields["rate_limit_max"], fields["rate_limit_window_secs"]
    assert {name: made[name] for name in fields} == fields
    assert made["rate_limit"] == {"max": 100, "window_secs": 60}
    assert made["execution_mode"] == "http"
    got = await client.jobs.get(made["id"])
    assert got["slug"] == made["slug"]
    assert [each["id"] for each in await client.jobs.list(query={"limit": "1"})] == [made["id"]]
    changed = await client.jobs.update(made["slug"], {"description": "changed"})
    assert (changed["version"], changed["description"]) == (2, "changed")
    versions = await client.jobs.list_versions(made["id"])
    assert [each["version"] for each in versions] == [1, 2]
    assert (await client.jobs.get_version(made["id"], versions[0]["id"]))["description"] == fields["description"]
    cloned = await client.jobs.clone(made["id"], {"slug": unique("cloned")})
    assert (await client.jobs.get_health(cloned["id"]))["total"] == 0
    depends = await client.jobs.create_dependency(cloned["id"], {"depends_on_job_id": made["id"]})
    assert [each["id"] for each in await client.jobs.list_dependencies(cloned["id"])] == [depends["id"]]
    await client.jobs.delete_dependency(cloned["id"], depends["id"])
    await client.jobs.delete(cloned["id"])
    with pytest.raises(NotFoundError, match="job"):
        await client.jobs.get(cloned["id"])


async def test_the_life_of_a_run_from_both_sides(house: House, client: Strait) -> None:
    made, other = await job(house, client), await job(house, client)
    asked = {"payload": {"n": 1}, "idempotency_key": unique("key"), "priority": 3, "metadata": {"a": "b"}}
    assert (await client.jobs.trigger(made["id"], {**asked, "dry_run": True}))["dry_run"] is True
    run = await client.jobs.trigger(made["id"], asked)
    assert (await client.jobs.trigger(made["id"], asked))["idempotency_hit"] is True
    run_id = run["id"]
    ctx, token, received = await house.inside(run_id)
    assert received.body == b'{"n":1}'
    assert await token.sdk_runs.get_payload(run_id) == {"n": 1}
    await ctx.heartbeat()
    await ctx.report_progress(40)
    await ctx.report_progress(50.5, "half")
    await token.sdk_runs.log_run(run_id, {"level": "warn", "message": "careful", "data": {"at": 1}})
    await ctx.checkpoint({"at": 1})
    await ctx.report_usage("openai", "some-model", prompt_tokens=10, completion_tokens=5, cost_microusd=42)
    await ctx.report_usage("openai", "some-model", total_tokens=7)
    await ctx.log_tool_call("search", {"q": "x"}, {"hits": 2}, 12, "ok")
    await ctx.log_tool_call("guess")
    await ctx.save_output("report", {"pages": 3}, {"type": "object", "required": ["pages"]})
    await ctx.state.set("place", {"row": 7})
    await ctx.state.set("gone", 1)
    await ctx.state.delete("gone")
    assert (await ctx.state.get("place"))["value"] == {"row": 7}
    assert [each["state_key"] for each in await ctx.state.list()] == ["place"]
    await ctx.annotate({"color": "blue"})
    await ctx.stream_chunk("some ")
    await ctx.stream_chunk("text", "answer", done=True)
    child = await ctx.spawn(other["slug"], "default", {"of": run_id}, 5)
    assert (child["parent_run_id"], child["triggered_by"], child["priority"]) == (run_id, "spawn", 5)
    inner, _, sent = await house.inside(child["id"])
    assert (sent.body, sent.headers["x-attempt"]) == (f'{{"of":"{run_id}"}}'.encode(), "1")
    await inner.complete()
    onward = await ctx.continue_run({"n": 2})
    await token.do_request("POST", f"/sdk/v1/runs/{run_id}/memory", body={"key": "cursor", "value": 7, "ttl_secs": 60})
    assert (await token.do_request("GET", f"/sdk/v1/runs/{run_id}/memory/cursor"))["value"] == 7
    assert len(await token.do_request("GET", f"/sdk/v1/runs/{run_id}/memory")) == 1
    await token.do_request("DELETE", f"/sdk/v1/runs/{run_id}/memory/cursor")
    await ctx.complete({"done": True})
    with pytest.raises(ApiError) as gone:
        await ctx.heartbeat()
    assert gone.value.status == 410
    run = await ended(client, run_id)
    assert (run["status"], run["result"], run["metadata"]) == ("completed", {"done": True}, {"a": "b", "color": "blue"})
    assert (await ended(client, child["id"]))["result"] is None
    lasting, _, _ = await house.inside(onward["id"])
    await lasting.complete({})
    assert [each["id"] for each in await client.runs.get_lineage(onward["id"])] == [run_id, onward["id"]]
    assert [each["id"] for each in await client.runs.get_children(run_id)] == [child["id"]]
    assert [each["state"] for each in await client.runs.list_checkpoints(run_id)] == [{"at": 1}]
    assert [each["total_tokens"] for each in await client.runs.get_usage(run_id)] == [15, 7]
    calls = await client.runs.list_tool_calls(run_id)
    assert [(each["tool_name"], each["output"]) for each in calls] == [("search", {"hits": 2}), ("guess", None)]
    outputs = await client.runs.list_outputs(run_id)
    assert [(each["output_key"], each["value"]) for each in outputs] == [("report", {"pages": 3})]
    assert "stream.chunk" in {each["type"] for each in await client.runs.list_events(run_id)}
    assert await client.runs.debug(run_id) == {"run_id": run_id, "debug_mode": False}
    assert (await client.runs.get_debug_bundle(run_id))["run"]["id"] == run_id
    assert (await client.runs.list_dependency_status(run_id))["dependencies_satisfied"] is True
    assert (await client.runs.delete_idempotency_key(run_id))["run_id"] == run_id
    mine = await client.runs.list(query={"project_id": "default", "job_id": made["id"], "order": "asc"})
    assert [each["id"] for each in mine] == [run_id, onward["id"]]


async def test_waits_end_by_an_event_by_a_child_and_by_a_prefix(house: House, client: Strait) -> None:
    made, other = await job(house, client), await job(house, client)
    run_id = (await client.jobs.trigger(made["id"], {}))["id"]
    key = unique("invoice")
    ctx, _, _ = await house.inside(run_id)
    waiting = await ctx.wait_for_event(key, 600)
    assert (waiting["status"], waiting["event_key"]) == ("waiting", key)
    assert (await client.runs.get(run_id))["status"] == "waiting"
    sent = await client.event_triggers.send_event(key, {"payload": {"paid": True}})
    assert [each["run_id"] if isinstance(each, dict) else each for each in sent["woken"]] == [run_id]
    ctx, _, again = await house.inside(run_id)
    assert again.headers["x-attempt"] == "1", "a wait is no attempt"
    assert (await ctx.wait_for_event(key, 600))["payload"] == {"paid": True}
    await ctx.wait_for_event(f"{key}.refund")
    await client.event_triggers.send_prefix(f"{key}.", {"payload": {"n": 2}})
    ctx, token, _ = await house.inside(run_id)
    spawn = {"job_slug": other["slug"], "project_id": "default", "payload": {}, "await_completion": True}
    child = await token.sdk_runs.spawn_run(run_id, spawn)
    assert child["parent_status"] == "waiting"
    inner, _, _ = await house.inside(child["id"])
    await inner.complete({"answer": 42})
    ctx, token, _ = await house.inside(run_id)
    assert (await token.sdk_runs.spawn_run(run_id, spawn))["awaited"]["result"] == {"answer": 42}
    await ctx.complete()
    assert (await ended(client, run_id))["status"] == "completed"


async def test_what_failed_is_replayed_and_what_is_late_is_put_off(house: House, client: Strait) -> None:
    made = await job(house, client, max_attempts=2, retry_strategy="fixed")
    await client.jobs.update(made["id"], {"retry_initial_delay_secs": 0})
    run_id = (await client.jobs.trigger(made["id"], {"payload": {"n": 1}}))["id"]
    for attempt in (1, 2):
        ctx, _, _ = await house.inside(run_id)
        assert ctx.attempt == attempt
        await ctx.fail("no use")
    dead = await ended(client, run_id)
    assert (dead["status"], dead["error"]) == ("dead_letter", "no use")
    mine = {"project_id": "default", "job_id": made["id"]}
    assert [each["id"] for each in await client.runs.get_dlq(query=mine)] == [run_id]
    replay = await client.runs.dlq_replay(run_id)
    assert (replay["replay_of"], await client.runs.get_dlq(query=mine)) == (run_id, [])
    with pytest.raises(ConflictError):
        await client.runs.dlq_replay(run_id)
    ctx, _, _ = await house.inside(replay["id"])
    await ctx.complete({"n": 2})
    second = await client.runs.replay(replay["id"], {"force": True})
    ctx, token, _ = await house.inside(second["id"])
    await token.sdk_runs.fail_run(second["id"], {"error": "never", "retryable": False})
    bulk = await client.runs.bulk_dlq_replay({"run_ids": [second["id"]]})
    assert bulk["count"] == 1
    ctx, _, _ = await house.inside(bulk["replayed"][0]["id"])
    await ctx.complete()
    again = await client.runs.bulk_replay({"run_ids": [second["id"]]})
    ctx, _, _ = await house.inside(again[0]["id"])
    await ctx.complete()
    late = await client.jobs.trigger(made["id"], {"scheduled_at": later(dead["created_at"], hours=1)})
    assert late["status"] == RunStatus.DELAYED
    moved = await client.runs.reschedule(late["id"], {"scheduled_at": later(dead["created_at"], hours=2)})
    assert moved["scheduled_at"] > late["scheduled_at"]
    assert (await client.runs.delete(late["id"]))["status"] == RunStatus.CANCELED
    many = await client.jobs.bulk_trigger(
        made["id"], {"items": [{"payload": {"n": n}, "scheduled_at": late["scheduled_at"]} for n in range(3)]}
    )
    ids = [each["id"] for each in many["results"]]
    assert (await client.runs.bulk_cancel({"run_ids": ids[:2]}))["canceled"] == 2
    own = await house.client(api_key=await bound_key(client))
    assert (await own.runs.bulk_cancel_all({"job_id": made["id"]}))["canceled"] == 1
    batches = await client.batch_operations.list(query={"limit": "1"})
    assert (await client.batch_operations.get(batches[0]["id"]))["item_count"] == 1


async def bound_key(client: Strait) -> str:
    """Return the token of a key that is bound to the project: what it asks for is its project's."""
    key = {"name": "own", "scopes": ["runs:write", "runs:read"], "project_id": "default"}
    made = await client.do_request("POST", "/v1/keys", body=key)
    return str(made["token"])


async def test_its_errors_are_the_ones_that_it_knows(house: House, client: Strait) -> None:
    with pytest.raises(NotFoundError, match="run"):
        await client.runs.get("no-such-run")
    with pytest.raises(UnauthorizedError):
        await (await house.client(api_key="rw_nobody")).runs.get("no-such-run")
    with pytest.raises(ApiError) as refused:
        await client.jobs.create({"name": "x", "slug": "x", "colour": "red"})
    assert (refused.value.status, refused.value.body["code"]) == (422, "request.invalid")


async def test_its_blocking_client_asks_the_same(house: House, client: Strait) -> None:
    made = await job(house, client)

    def drive() -> Json:
        blocking: Strait
        with Client(base_url=house.url, api_key=API_KEY) as blocking:
            run: Json = blocking.jobs.trigger(made["id"], {"payload": {"n": 3}})
            assert blocking.runs.get(run["id"])["job_id"] == made["id"]
            return run

    run_id = (await asyncio.to_thread(drive))["id"]
    ctx, _, _ = await house.inside(run_id)
    await ctx.complete({"n": 3})

    def follow() -> list[str]:
        blocking: Strait
        with Client(base_url=house.url, api_key=API_KEY) as blocking:
            path = f"/v1/runs/{run_id}/stream"
            return [str(frame.get("type")) for frame in blocking.do_stream("GET", path)]

    frames = await asyncio.to_thread(follow)
    assert (frames[0], frames[-1]) == ("run.created", "run.completed")
