"""The public document of the jobs API, held against a live server: each call as it stands there, each field of each
example with its type.

A call runs with curl itself, with ids in place of `string`. Routes that are not served yet have no row here; the row is
there as soon as the route is.
"""

import asyncio
import json
import shlex
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from runwright import ids
from tests.acceptance.contract import ContractClient
from tests.acceptance.examples import compare
from tests.acceptance.live_server import API_KEY, LiveServer
from tests.acceptance.public_calls import BUNDLE, CALLS, CANCELLED, HERE, PROBLEM, REPLAYED, Shown
from tests.acceptance.seed_shapes import JOB_RUN
from tests.acceptance.speech import Json, Speech, later, said, unique
from tests.acceptance.table import ENDPOINTS

pytestmark = pytest.mark.xdist_group("acceptance-jobs")

SERVED = {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}


def words(shown: Shown) -> list[str]:
    """Return the words of a call; the document writes its lines as one, with the backslashes between them."""
    return shlex.split(shown.curl.replace("\\ -", "-"))


def route(shown: Shown) -> tuple[str, str]:
    """Return method and path of a call, the path as the route table has it."""
    _, _, method, url, *_ = words(shown)
    path = url.removeprefix("http://localhost:8080").partition("?")[0]
    return method, path.replace("/string", "/{run_id}")


ROWS = [shown for shown in CALLS if route(shown) in SERVED]


def named(shown: Shown) -> str:
    return " ".join(route(shown))


class Things:
    """What the calls are about, each made when it is asked for."""

    def __init__(self, client: ContractClient) -> None:
        self.client, self.api = client, Speech(client)
        self.project = self.full = self.parent = ""

    async def make(self) -> None:
        """Make a project with a run that has everything, whose parent goes on, and a dead letter."""
        self.project = await self.api.project()
        await self.dead()
        parent = await self.api.trigger(await self.job("nobody-has-this"), scheduled_at=await self.tomorrow())
        self.parent = parent["id"]
        self.full = await self._executed()

    async def job(self, handler: str, **fields: Any) -> str:
        return await self.api.job(handler, project_id=self.project, **fields)

    async def tomorrow(self) -> str:
        project = await said(self.client.get(f"/v1/projects/{self.project}"))
        return later(project["created_at"], days=1)

    async def _executed(self) -> str:
        """Execute a run by hand: a worker claims it, and its code reports all that there is."""
        queue = unique("hand")
        job = await self.job("by-hand", queue=queue)
        run = await self.api.trigger(
            job,
            {"a": 1},
            parent_run_id=self.parent,
            tags={"a": "b"},
            metadata={"c": "d"},
            idempotency_key=unique("key"),
            scheduled_at="2019-08-24T14:15:22Z",
            priority=5,
            ttl_secs=600,
            concurrency_key="k",
            max_attempts_override=2,
            timeout_secs_override=60,
            retry_backoff="fixed",
            retry_initial_delay_secs=0,
            retry_max_delay_secs=1.5,
            debug_mode=True,
        )
        claim = {"worker_id": ids.new_id("wrk", 1), "jobs": ["by-hand"], "queues": [queue], "slots": 1, "free": 1}
        (given,) = (await said(self.client.post("/v1/worker/claim", json=claim)))["assignments"]
        base = f"/sdk/v1/runs/{run['id']}"
        token = {"authorization": f"Bearer {given['run_token']}"}
        for verb, body in (
            ("log", {"message": "a line", "data": {"n": 1}}),
            ("checkpoint", {"state": {"n": 1}}),
            ("usage", {"provider": "p", "model": "m", "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
            ("tool-call", {"tool_name": "t", "input": {"a": 1}, "output": {"b": 2}, "duration_ms": 3}),
            ("output", {"key": "k", "value": {"a": 1}, "schema": {"type": "object"}}),
            ("state", {"key": "k", "value": {"a": 1}}),
        ):
            await said(self.client.post(f"{base}/{verb}", json=body, headers=token), 201)
        await said(self.client.post(f"{base}/stream", json={"chunk": "text", "done": True}, headers=token))
        await said(self.client.post(f"{base}/continue", json={"payload": {"a": 2}}, headers=token), 201)
        await said(self.client.post(f"{base}/complete", json={"result": {"done": True}}, headers=token))
        return str(run["id"])

    async def nothing(self) -> str:
        return ""

    async def delayed(self) -> str:
        made = await self.api.trigger(await self.job("echo"), scheduled_at=await self.tomorrow())
        return str(made["id"])

    async def paused(self) -> str:
        run_id = await self.delayed()
        await self.api.verb(run_id, "pause")
        return run_id

    async def failed(self) -> str:
        return str((await self.api.done(await self.job("stumble", max_attempts=1)))["id"])

    async def dead(self) -> str:
        job = await self.job("stumble", max_attempts=2)
        return str((await self.api.done(job, {"how": "rejected"}))["id"])

    async def asleep(self) -> str:
        run = await self.api.trigger(await self.job("nap"), {"secs": 600})
        await self.api.until(run["id"], "run.waiting")
        return str(run["id"])

    async def keyed(self) -> str:
        return str((await self.api.done(await self.job("echo"), idempotency_key=unique("key")))["id"])

    async def depending(self) -> str:
        """Start a run of a job that depends on another."""
        first, second = await self.job("nobody-has-this"), await self.job("echo")
        body = {"depends_on_job_id": first}
        await said(self.client.post(f"/v1/jobs/{second}/dependencies", json=body), 201)
        return str((await self.api.trigger(second))["id"])

    async def other_project(self) -> str:
        project = await self.api.project()
        job = await self.api.job("echo", project_id=project)
        await self.api.trigger(job, scheduled_at=await self.tomorrow())
        return project

    async def about(self, what: str) -> str:
        """Return the id that stands for `string`."""
        if what in ("project", "full", "parent"):
            return str(getattr(self, what))
        make: Callable[[], Awaitable[str]] = getattr(self, what.replace(" ", "_"))
        return await make()


@pytest.fixture(scope="module")
async def things(admin: ContractClient) -> Things:
    made = Things(admin)
    await made.make()
    return made


async def curl(server: LiveServer, shown: Shown, ident: str) -> tuple[int, str]:
    """Run a call as it stands, at our address, with an id, and as somebody."""
    given = [each.replace("http://localhost:8080", server.url) for each in words(shown)]
    given = [each.replace("string", ident) if "string" in each else each for each in given]
    own = ["-sS", "-N", "--max-time", "60", "-w", "\n%{http_code}", "-H", f"Authorization: Bearer {API_KEY}"]
    process = await asyncio.create_subprocess_exec(given[0], *own, *given[1:], stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    assert process.returncode == 0, err
    body, _, status = out.decode().rpartition("\n")
    return int(status), body


@pytest.mark.parametrize("shown", ROWS, ids=named)
async def test_appendix_c_26_each_call_of_the_document_is_answered_as_it_says(
    server: LiveServer, things: Things, shown: Shown
):
    status, body = await curl(server, shown, await things.about(shown.about))
    assert status == shown.status, body
    if shown.stream:
        assert "data: {" in body
    elif shown.example is None:
        assert json.loads(body) is not None
    else:
        answer = json.loads(body)
        compare(answer, shown.example, set())
        assert answer, "an empty list shows no field"


async def test_every_field_of_a_run_is_set_in_some_answer(things: Things):
    told: set[str] = set()
    flow = await things.api.flow([{"key": "a", "job": await things.job("echo")}], project_id=things.project)
    await things.api.ended((await things.api.launch(flow["id"]))["id"])
    listed = await things.api.listed("/v1/runs", project_id=things.project, limit=500)
    executing = await things.api.trigger(await things.job("nap"), {"secs": 600})
    await things.api.until(executing["id"], "run.waiting")
    batch = await things.api.bulk(await things.job("echo"), [{}])
    retrying = await things.api.trigger(await things.job("stumble", max_attempts=2), {"how": "later", "after_s": 600})
    await things.api.until(retrying["id"], "run.retrying")
    queue = unique("held")
    await things.api.trigger(await things.job("by-hand", queue=queue))
    claim = {"worker_id": ids.new_id("wrk", 1), "jobs": ["by-hand"], "queues": [queue], "slots": 1, "free": 1}
    (held,) = (await said(things.client.post("/v1/worker/claim", json=claim)))["assignments"]
    others = [batch["results"][0]["id"], retrying["id"], held["run_id"]]
    compare([*listed, *[await things.api.run(run_id) for run_id in others]], [JOB_RUN], told)
    assert {name for name in JOB_RUN if name not in told} == set()
    for run_id in (executing["id"], retrying["id"], held["run_id"]):
        await things.client.delete(f"/v1/runs/{run_id}")


async def test_the_answers_that_take_ids_have_their_examples_shape_with_rows(things: Things):
    run_id, letter = await things.delayed(), await things.dead()
    body = {"run_ids": [run_id, "run_unknown"]}
    cancelled: Json = await said(things.client.post("/v1/runs/bulk-cancel", json=body))
    told: set[str] = set()
    compare(cancelled, CANCELLED, told)
    assert told >= {"id", "status", "error", "total", "canceled", "failed"}
    replayed = await said(things.client.post("/v1/runs/bulk-dlq-replay", json={"run_ids": [letter]}))
    compare(replayed, REPLAYED, set())
    again = await things.client.post("/v1/runs/bulk-dlq-replay", json={"run_ids": [letter]})
    assert again.status_code == 409
    compare(again.json(), PROBLEM, set())


async def test_every_part_of_the_bundle_of_a_full_run_has_rows(things: Things):
    bundle = await said(things.client.get(f"/v1/runs/{things.full}/debug-bundle"))
    told: set[str] = set()
    compare(bundle, BUNDLE, told)
    assert all(bundle[part] for part in BUNDLE)
    assert told >= {"input", "output", "schema", "state", "sequence", "source", "cost_microusd", "message"}


def test_the_rows_are_the_documents_28_endpoints():
    assert len({route(shown) for shown in CALLS}) == len(CALLS) == 28
    assert all(HERE in shown.curl for shown in CALLS)
