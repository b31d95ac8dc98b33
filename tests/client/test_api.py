"""Calls to the API: what is sent, what is tried again, and what errors say."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from runwright.client.backoff import Backoff
from runwright.client.errors import ApiError, NotJson, ServerUnreachable, UnexpectedAnswer
from tests.client.both import Connect
from tests.client.local_server import Answer, Request, dead_url, json_answer, problem, serving

AT_ONCE = Backoff(attempts=3, initial_s=0, max_s=0)
RUN = {"id": "run_1", "run_id": "run_1", "status": "queued", "state": "queued", "created_at": "2026-01-01T00:00:00Z"}
JOB = {"id": "job_1", "slug": "a"}


def always(value: Any, status: int = 200) -> Callable[[Request], Answer]:
    return lambda _: json_answer(value, status)


async def test_a_run_is_read_with_its_instants_and_what_is_unknown_is_kept(connect: Connect):
    whole = {**RUN, "surprise": {"x": 1}, "execution_trace": {"total_ms": 4, "new_ms": 1}}
    async with serving(always(whole)) as server, connect(server.url, "rw_key") as client:
        run = await client.runs.get("run_1")
        assert run.created_at == datetime(2026, 1, 1, tzinfo=UTC)
        assert run.execution_trace is not None
        assert run.execution_trace.total_ms == 4
        assert run.raw == whole
        assert server.requests[0].headers["authorization"] == "Bearer rw_key"


async def test_ids_cannot_leave_their_place_in_the_path(connect: Connect):
    async with serving(always(RUN)) as server, connect(server.url) as client:
        await client.runs.get("../keys?x=1")
        assert server.requests[0].path == "/v1/runs/..%2Fkeys%3Fx%3D1"


@pytest.mark.parametrize(
    ("call", "method", "path", "body"),
    [
        (lambda c: c.runs.cancel("r", reason="x"), "POST", "/v1/runs/r:cancel", {"reason": "x"}),
        (lambda c: c.runs.pause("r"), "POST", "/v1/runs/r/pause", None),
        (lambda c: c.runs.resume("r"), "POST", "/v1/runs/r/resume", None),
        (lambda c: c.runs.replay("r", force=True), "POST", "/v1/runs/r/replay", {"force": True}),
        (lambda c: c.jobs.create(slug="a", max_attempts=2), "POST", "/v1/jobs", {"slug": "a", "max_attempts": 2}),
        (lambda c: c.jobs.update("a", queue="q"), "PATCH", "/v1/jobs/a", {"queue": "q"}),
        (lambda c: c.jobs.get("a"), "GET", "/v1/jobs/a", None),
        (lambda c: c.jobs.delete("a"), "DELETE", "/v1/jobs/a", None),
        (lambda c: c.jobs.rotate_secret("a", grace_secs=5), "POST", "/v1/jobs/a/rotate-secret", {"grace_secs": 5}),
        (lambda c: c.keys.rotate("k", grace_s=5), "POST", "/v1/keys/k/rotate", {"grace_s": 5}),
        (lambda c: c.keys.revoke("k"), "DELETE", "/v1/keys/k", None),
        (lambda c: c.projects.update("p", name="n"), "PATCH", "/v1/projects/p", {"name": "n"}),
        (lambda c: c.users.create(name="n"), "POST", "/v1/users", {"name": "n"}),
        (lambda c: c.me(), "GET", "/v1/me", None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_each_call_is_the_request_of_the_contract(connect: Connect, call, method, path, body):
    async with serving(always({**RUN, **JOB})) as server, connect(server.url) as client:
        await call(client)
        request = server.requests[0]
        assert (request.method, request.path) == (method, path)
        assert (request.json() if request.body else None) == body
        assert ("content-type" in request.headers) == (body is not None)


async def test_filters_become_query_parameters(connect: Connect):
    async with serving(always([])) as server, connect(server.url) as client:
        filters: dict[str, Any] = {
            "project_id": "default",
            "status": ["queued", "failed"],
            "tags": {"env": "a b"},
            "payload_contains": {"a": 1},
            "created_after": datetime(2026, 1, 1, tzinfo=UTC),
        }
        assert await client.runs.list(limit=7, **filters).all() == []
        assert server.requests[0].query == [
            ("limit", "7"),
            ("project_id", "default"),
            ("status", "queued"),
            ("status", "failed"),
            ("tags[env]", "a b"),
            ("payload_contains", '{"a":1}'),
            ("created_after", "2026-01-01T00:00:00+00:00"),
        ]


async def test_lists_are_read_page_by_page_and_only_as_far_as_asked(connect: Connect):
    def respond(request: Request) -> Answer:
        start = int(dict(request.query).get("cursor", 0))
        rows = [{**RUN, "id": f"run_{n}"} for n in range(start, start + 2)]
        return json_answer(rows, x_next_cursor=str(start + 2)) if start < 4 else json_answer(rows)

    async with serving(respond) as server, connect(server.url) as client:
        assert [run.id async for run in client.runs.list()] == [f"run_{n}" for n in range(6)]
        assert len(server.requests) == 3
        assert [run.id for run in await client.runs.list().first(3)] == ["run_0", "run_1", "run_2"]
        assert len(server.requests) == 5
        assert (await client.runs.list().page("4")).next_cursor is None


async def test_an_error_is_told_whole(connect: Connect):
    answer = problem(409, "runs.invalid_transition", "no way")
    async with serving(lambda _: answer) as server, connect(server.url) as client:
        with pytest.raises(ApiError) as refused:
            await client.runs.cancel("run_1")
    error = refused.value
    assert (error.status, error.code, error.message) == (409, "runs.invalid_transition", "no way")
    assert (error.request_id, error.details) == ("req_1", {"a": 1})


@pytest.mark.parametrize(("status", "body"), [(502, b"<html>Bad gateway"), (400, b""), (418, b'{"error":{"a":1}}')])
async def test_an_error_that_is_not_ours_is_an_error_still(connect: Connect, status, body):
    async with serving(lambda _: Answer(status, body)) as server, connect(server.url, backoff=AT_ONCE) as client:
        with pytest.raises(ApiError) as refused:
            await client.runs.get("run_1")
    assert (refused.value.status, refused.value.code) == (status, f"http.{status}")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"id":5}', b'{"status":"queued"}'])
async def test_an_answer_that_is_no_run_is_unexpected(connect: Connect, body):
    async with serving(lambda _: Answer(200, body)) as server, connect(server.url) as client:
        with pytest.raises(UnexpectedAnswer):
            await client.runs.get("run_1")


async def test_a_redirect_is_unexpected_and_not_followed(connect: Connect):
    async with serving(lambda _: Answer(302, b"", {"location": "/login"})) as server, connect(server.url) as client:
        with pytest.raises(UnexpectedAnswer):
            await client.runs.get("run_1")
        assert len(server.requests) == 1


@pytest.mark.parametrize("failure", [problem(503, "server.overloaded", retry_after="0"), Answer(200, b"{", cut=True)])
async def test_reads_and_triggers_are_tried_again_under_one_idempotency_key(connect: Connect, failure):
    failures: list[Answer] = []

    def respond(request: Request) -> Answer:
        return failures.pop() if failures else json_answer(RUN)

    async with serving(respond) as server, connect(server.url, backoff=AT_ONCE) as client:
        failures = [failure, failure]
        await client.runs.get("run_1")
        failures = [failure, failure]
        await client.jobs.trigger("a", {"n": 1})
        await client.jobs.trigger("a", {"n": 1})
        keys = [request.headers["idempotency-key"] for request in server.requests[3:]]
        assert len(server.requests) == 7
        assert keys[0] == keys[1] == keys[2] != keys[3]


async def test_a_callers_own_idempotency_key_is_used(connect: Connect):
    async with serving(always(RUN)) as server, connect(server.url) as client:
        await client.jobs.trigger("a", idempotency_key="mine")
        assert "idempotency-key" not in server.requests[0].headers
        assert server.requests[0].json() == {"idempotency_key": "mine"}


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.jobs.update("a", queue="q"),
        lambda c: c.keys.create(name="k", scopes=[]),
        lambda c: c.keys.rotate("k"),
        lambda c: c.organizations.create(slug="o"),
    ],
    ids=["update", "key", "rotate", "organization"],
)
async def test_what_is_not_safe_to_repeat_is_not_repeated(connect: Connect, call):
    async with (
        serving(lambda _: Answer(200, b"{", cut=True)) as server,
        connect(server.url, backoff=AT_ONCE) as client,
    ):
        with pytest.raises(ServerUnreachable):
            await call(client)
        assert len(server.requests) == 1


async def test_a_bulk_trigger_is_repeated_under_one_key(connect: Connect):
    answers = [
        json_answer({"results": [{"id": "run_1", "status": "queued"}], "batch_id": "b"}),
        Answer(200, b"{", cut=True),
    ]
    async with serving(lambda _: answers.pop()) as server, connect(server.url, backoff=AT_ONCE) as client:
        done = await client.jobs.trigger_bulk("a", [{"payload": {"n": 1}}])
        assert done.results[0].id == "run_1"
        assert len({request.headers["idempotency-key"] for request in server.requests}) == 1
        assert len(server.requests) == 2


async def test_a_refusal_for_now_is_tried_again_whatever_was_asked(connect: Connect):
    answers = [json_answer(JOB), problem(429, "limits.rate", retry_after="0")]
    async with serving(lambda _: answers.pop()) as server, connect(server.url, backoff=AT_ONCE) as client:
        await client.jobs.create(slug="a")
        assert len(server.requests) == 2


async def test_a_server_that_is_not_there_is_named(connect: Connect):
    url = dead_url()
    async with connect(url, backoff=AT_ONCE) as client:
        with pytest.raises(ServerUnreachable, match=url):
            await client.runs.cancel("r")


async def test_a_payload_that_is_not_json_is_refused_before_anything_is_sent(connect: Connect):
    async with serving(always(RUN)) as server, connect(server.url) as client:
        with pytest.raises(NotJson, match=r"\$\.a is nan"):
            await client.jobs.trigger("a", {"a": float("nan")})
        assert server.requests == []


@pytest.mark.parametrize(("url", "key"), [("http://[::1", None), ("http://127.0.0.1", "two words"), (None, "é")])
def test_an_address_or_key_that_cannot_be_is_refused(connect: Connect, url, key):
    with pytest.raises(ValueError, match=r"is not the address|An API key"):
        connect(url, key)


def test_a_backoff_grows_to_its_bound_and_heeds_the_server():
    backoff = Backoff(attempts=9, initial_s=1, max_s=8)
    for failures, most in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (5000, 8)):
        assert most / 2 <= backoff.delay_s(failures) <= most
    assert backoff.delay_s(1, 30) == 30
    assert backoff.delay_s(1, 3600) == 60
