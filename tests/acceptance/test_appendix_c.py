"""Conformance tests of the public document's appendix C that ask a server for what no other file does.

A test of the appendix is named `test_appendix_c_` and its number, wherever it stands; a house test counts them.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.contract import ContractClient
from tests.acceptance.gate import Gate
from tests.acceptance.live_server import LiveServer
from tests.acceptance.speech import Json, Speech, later, refused, said, unique
from tests.api.served import ok, serving
from tests.engine.databases import Database
from tests.executors import endpoint as e
from tests.executors.endpoint import Endpoint, Received, always, answer

pytestmark = pytest.mark.xdist_group("acceptance-jobs")

ACCEPTED = answer(status="202 Accepted")
SPELLINGS = (
    "127.0.0.1",
    "127.1",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "2130706433",
    "017700000001",
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[fe80::1]",
    "[fd00::1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::a00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "localhost",
    "a.localhost",
    "metadata.google.internal",
    "user@example.com",
)

VERBS = ("cancel", "pause", "resume", "restart", "reschedule", "replay", "dlq-replay", "discard", "complete")
NEVER = dict.fromkeys(VERBS, 409)
ENDED = {**NEVER, "replay": "queued executing completed", "complete": 410}
ANSWERS: dict[str, dict[str, Any]] = {
    "delayed": {**NEVER, "cancel": "canceled", "pause": "paused", "resume": "delayed", "reschedule": "delayed"},
    "queued": {**NEVER, "cancel": "canceled", "pause": "paused", "resume": "queued", "reschedule": "delayed"},
    "executing": {
        **NEVER,
        "cancel": "canceled",
        "pause": "paused",
        "resume": "executing",
        "restart": "queued executing",
        "complete": "completed",
    },
    "waiting": {
        **NEVER,
        "cancel": "canceled",
        "pause": "paused",
        "resume": "waiting",
        "restart": "queued executing waiting",
    },
    "paused": {
        **NEVER,
        "cancel": "canceled",
        "pause": "paused",
        "resume": "delayed",
        "restart": "queued executing completed",
    },
    "completed": {**ENDED, "replay": 409},
    "failed": ENDED,
    "dead_letter": {**ENDED, "dlq-replay": "queued executing completed", "discard": "dead_letter"},
    "canceled": ENDED,
    "expired": ENDED,
}
"""What each verb does to a run that shows a word: the word afterwards, or how it is refused."""


class Runs:
    """Runs that show each word, made anew for each verb."""

    def __init__(self, api: Speech, gate: Gate) -> None:
        self.api, self.gate = api, gate
        self.jobs: Json = {}

    async def make(self) -> None:
        for handler in ("echo", "hold", "nap"):
            self.jobs[handler] = await self.api.job(handler)
        self.jobs["nobody"] = await self.api.job("nobody-has-it")
        self.jobs["failed"] = await self.api.job("stumble", max_attempts=1)
        self.jobs["dead"] = await self.api.job("stumble", max_attempts=2)
        self.soon = later((await self.api.trigger(self.jobs["nobody"]))["created_at"], hours=1)

    async def showing(self, word: str) -> str:
        """Return the id of a run that shows this word."""
        api, jobs = self.api, self.jobs
        run = await {
            "delayed": lambda: api.trigger(jobs["echo"], scheduled_at=self.soon),
            "paused": lambda: api.trigger(jobs["echo"], scheduled_at=self.soon),
            "canceled": lambda: api.trigger(jobs["echo"], scheduled_at=self.soon),
            "queued": lambda: api.trigger(jobs["nobody"]),
            "executing": lambda: api.trigger(jobs["hold"], {"gate": self.gate.port}),
            "waiting": lambda: api.trigger(jobs["nap"], {"secs": 3600}),
            "expired": lambda: api.trigger(jobs["nobody"], ttl_secs=1),
            "completed": lambda: api.done(jobs["echo"]),
            "failed": lambda: api.done(jobs["failed"]),
            "dead_letter": lambda: api.done(jobs["dead"]),
        }[word]()
        run_id = str(run["id"])
        if word == "executing":
            await api.until(run_id, "run.started")
        if word == "waiting":
            await api.until(run_id, "run.waiting")
        if word == "expired":
            await api.until(run_id, "run.expired")
        if word == "paused":
            await api.verb(run_id, "pause")
        if word == "canceled":
            await said(api.client.delete(f"/v1/runs/{run_id}"))
        assert (await api.run(run_id))["status"] == word
        return run_id

    async def told(self, run_id: str, verb: str) -> Any:
        """Say a verb of a run; return the word of the run that answers, or the status of the refusal."""
        path, client = f"/v1/runs/{run_id}/{verb}", self.api.client
        asked = {
            "cancel": lambda: client.delete(f"/v1/runs/{run_id}"),
            "reschedule": lambda: client.post(path, json={"scheduled_at": self.soon}),
            "complete": lambda: client.post(f"/sdk/v1/runs/{run_id}/complete"),
        }.get(verb, lambda: client.post(path))
        response = await asked()
        return response.json()["status"] if response.is_success else response.status_code


@pytest.mark.parametrize("word", ANSWERS)
async def test_appendix_c_1_every_verb_on_every_state_does_what_is_legal_and_nothing_else(
    api: Speech, gate: Gate, word: str
):
    runs = Runs(api, gate)
    await runs.make()
    run_id = await runs.showing(word)
    before = await api.run(run_id)
    wanted = ANSWERS[word]
    for verb in [verb for verb in VERBS if isinstance(wanted[verb], int)]:
        assert await runs.told(run_id, verb) == wanted[verb], verb
    after = await api.run(run_id)
    assert (after["status"], after["last_seq"]) == (word, before["last_seq"]), "what is refused leaves nothing"
    for verb in [verb for verb in VERBS if isinstance(wanted[verb], str)]:
        assert await runs.told(run_id, verb) in wanted[verb].split(), verb
        if verb != VERBS[-1] and word not in ("expired", "canceled", "failed"):
            run_id = await runs.showing(word)
    gate.open()


# --- what endpoints answer --------------------------------------------------------------------------------------------


class Posts:
    """A server that posts to endpoints on this machine, and an endpoint that answers one after the other."""

    def __init__(self, live: LiveServer, endpoint: Endpoint) -> None:
        self.live, self.endpoint = live, endpoint
        self.api = Speech(live.client())

    async def run(self, *answers: bytes, **fields: Any) -> Json:
        """Start a run whose endpoint answers so, the last for ever."""

        async def respond(received: Received, writer: asyncio.StreamWriter) -> None:
            writer.write(answers[min(len(self.endpoint.received), len(answers)) - 1])

        self.endpoint.received.clear()
        self.endpoint.respond = respond
        job = {"slug": unique("posted"), "endpoint_url": self.endpoint.url, "retry_initial_delay_secs": 0, **fields}
        made = await said(self.api.client.post("/v1/jobs", json=job), 201)
        return await self.api.trigger(made["id"])

    async def done(self, *answers: bytes, **fields: Any) -> Json:
        """Start a run whose endpoint answers so, and return it when it has ended."""
        return await self.api.ended((await self.run(*answers, **fields))["id"])

    async def accepted(self) -> tuple[str, ContractClient]:
        """Return a run that its endpoint has accepted, and what its code calls with."""
        run_id = str((await self.run(ACCEPTED, max_attempts=2))["id"])
        await self.api.until(run_id, "run.accepted")
        return run_id, self.token()

    def token(self) -> ContractClient:
        """Return a client with the run token of the newest request."""
        return self.live.client(self.endpoint.received[-1].headers["runwright-run-token"])


@pytest.fixture
async def posts(lenient: LiveServer) -> AsyncIterator[Posts]:
    async with e.serving(always(b"")) as endpoint:
        yield Posts(lenient, endpoint)


async def test_appendix_c_6_retry_after_is_respected(posts: Posts):
    run = await posts.run(answer(status="503 x", retry_after="7"), max_attempts=2)
    retrying = await posts.api.until(run["id"], "run.retrying")
    assert retrying["data"]["delay_ms"] == 7_000
    await said(posts.api.client.delete(f"/v1/runs/{run['id']}"))


async def test_appendix_c_7_what_may_pass_is_tried_again_what_may_not_is_a_letter_and_503_asks_the_fallback(
    posts: Posts,
):
    for status in ("408 x", "425 x"):
        run = await posts.done(answer(status=status), answer(), max_attempts=2)
        assert (run["status"], run["attempt"]) == ("completed", 2)
    run = await posts.done(answer(status="400 x"), max_attempts=3)
    assert (run["status"], run["attempt"], len(posts.endpoint.received)) == ("dead_letter", 1, 1)
    async with e.serving(always(answer(b'{"from": "the fallback"}'))) as fallback:
        run = await posts.done(answer(status="503 x"), max_attempts=3, fallback_endpoint_url=fallback.url)
    assert (run["status"], run["result"], run["attempt"]) == ("completed", {"from": "the fallback"}, 1)


async def test_appendix_c_16_a_run_that_was_accepted_is_completed_by_a_later_call(posts: Posts):
    run_id, client = await posts.accepted()
    assert (await posts.api.run(run_id))["status"] == "executing"
    await said(client.post(f"/sdk/v1/runs/{run_id}/complete", json={"result": {"n": 1}}))
    run = await posts.api.run(run_id)
    assert (run["status"], run["result"], run["attempt"]) == ("completed", {"n": 1}, 1)


async def test_appendix_c_20_a_token_touches_its_own_run_while_its_lease_lasts(posts: Posts):
    (one, first), (other, second) = await posts.accepted(), await posts.accepted()
    line = {"message": "not mine"}
    await refused(first.post(f"/sdk/v1/runs/{other}/log", json=line), 404, "runs.not_found")
    await refused(second.post(f"/sdk/v1/runs/{one}/complete"), 404, "runs.not_found")
    await said(first.post(f"/sdk/v1/runs/{one}/fail", json={"error": "again"}))
    await posts.api.until(one, "run.accepted", count=2)
    await refused(first.post(f"/sdk/v1/runs/{one}/log", json=line), 401, "auth.stale_token")
    await said(posts.token().post(f"/sdk/v1/runs/{one}/complete"))
    for client in (first, posts.token()):
        await refused(client.post(f"/sdk/v1/runs/{one}/log", json=line), 410, "runs.ended")
    await said(second.post(f"/sdk/v1/runs/{other}/complete"))


async def test_appendix_c_25_no_spelling_of_an_address_inside_is_taken(api: Speech):
    for host in SPELLINGS:
        for field in ("endpoint_url", "fallback_endpoint_url", "webhook_url"):
            fields = {"slug": unique("inside"), "endpoint_url": "https://example.com/", field: f"http://{host}/"}
            details = await refused(api.client.post("/v1/jobs", json=fields), 422, "request.invalid")
            assert [each["path"] for each in details["fields"]] == [field], host


async def test_appendix_c_25_an_address_inside_is_refused_when_it_is_dialled_and_no_redirect_is_followed(
    tmp_path: Path, database: Database
):
    """What a name led to when the job was made may be another address by now: here the guard has changed instead."""
    told: Json = {"data_dir": tmp_path, **database.settings}
    redirect = answer(status="302 x", location="http://169.254.169.254/latest/meta-data/")
    async with e.serving(always(redirect)) as endpoint:
        async with serving(**told, allow_private_endpoints=True) as house:
            token = house.admin_token
            job = {"slug": "posted", "endpoint_url": endpoint.url, "max_attempts": 2}
            await ok(house.admin.post("/v1/jobs", json=job), 201)
            run = await ended(house.admin)
            assert (run["status"], run["error_class"], run["attempt"]) == ("dead_letter", "Http302", 1)
        async with serving(**told) as house:
            run = await ended(house.client(token))
        assert (run["status"], run["error_class"], run["attempt"]) == ("dead_letter", "EndpointRefused", 1)
        assert endpoint.connections == 1


async def ended(client: Any) -> Json:
    """Trigger the job and return the run at its end."""
    run = await ok(client.post("/v1/jobs/posted/trigger"), 201)
    await client.get(f"/v1/runs/{run['id']}/stream")
    found: Json = await ok(client.get(f"/v1/runs/{run['id']}"))
    return found


async def test_appendix_c_29_what_is_too_large_is_413_and_what_is_unknown_is_named(posts: Posts):
    api = posts.api
    job, large = await api.job("echo"), {"a": "x" * 1_048_576}
    path = f"/v1/jobs/{job}/trigger"
    await refused(api.client.post(path, json={"payload": large}), 413, "request.too_large")
    run_id, client = await posts.accepted()
    await refused(client.post(f"/sdk/v1/runs/{run_id}/complete", json={"result": large}), 413, "request.too_large")
    await said(client.post(f"/sdk/v1/runs/{run_id}/complete"))
    key = {"Idempotency-Key": "k" * 257}
    await refused(api.client.post(path, json={}, headers=key), 422, "request.invalid")
    details = await refused(api.client.post(path, json={"payload": {}, "colour": "red"}), 422, "request.invalid")
    assert details["fields"] == [{"path": "colour", "message": "is not known"}]
    items = {"items": [{}, {"tags": {}, "shape": 1}]}
    details = await refused(api.client.post(f"{path}/bulk", json=items), 422, "request.invalid")
    assert [each["path"] for each in details["fields"]] == ["items[1].shape"]
