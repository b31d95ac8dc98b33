"""Http jobs, whole: a server, its engine, and an endpoint on this machine that is really posted to."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.api.served import Served, ok, serving
from tests.executors import endpoint as e
from tests.executors.endpoint import Endpoint, always, answer
from tests.ports import kept

FAST = {"retry_initial_delay_secs": 0, "retry_jitter": "none", "retry_strategy": "fixed"}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path, allow_private_endpoints=True, stop_grace_s=0.2, drain_s=5) as served:
        yield served


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with e.serving(always(answer(b'{"done": true}'))) as served:
        yield served


async def create(server: Served, endpoint: Endpoint | None, slug: str = "hook", **fields: Any) -> dict[str, Any]:
    url = {} if endpoint is None else {"endpoint_url": endpoint.url + "/run?token=hidden"}
    job: dict[str, Any] = await ok(
        server.admin.post("/v1/jobs", json={"slug": slug, "execution_mode": "http", **url, **FAST, **fields}), 201
    )
    return job


async def trigger(server: Served, payload: Any = None, slug: str = "hook", **fields: Any) -> dict[str, Any]:
    body = {"payload": payload or {}, **fields}
    run: dict[str, Any] = await ok(server.admin.post(f"/v1/jobs/{slug}/trigger", json=body), 201)
    return run


async def ended(server: Served, run: dict[str, Any]) -> dict[str, Any]:
    """Follow a run to its end, and return it."""
    response = await server.admin.get(f"/v1/runs/{run['id']}/stream")
    assert response.status_code in {200, 204}
    return await read(server, run)


async def read(server: Served, run: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = await ok(server.admin.get(f"/v1/runs/{run['id']}"))
    return found


async def run_once(server: Served, endpoint: Endpoint, data: bytes, **fields: Any) -> dict[str, Any]:
    """Dispatch one run to an endpoint that answers with these bytes, and return the run as it ended."""
    endpoint.respond = always(data)
    await create(server, endpoint, **{"max_attempts": 1, **fields})
    return await ended(server, await trigger(server))


async def events(server: Served, run: dict[str, Any], type: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await ok(server.admin.get(f"/v1/runs/{run['id']}/events?type={type}"))
    return found


async def attempts(server: Served, run: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await ok(server.admin.get(f"/v1/runs/{run['id']}/attempts"))
    return found


async def test_a_run_is_posted_signed_and_completes_with_the_answer(server, endpoint):
    job = await create(server, endpoint)
    run = await ended(server, await trigger(server, {"b": [1, 2.5], "a": "ü"}, idempotency_key="täglich 5%"))
    assert (run["status"], run["result"], run["error"]) == ("completed", {"done": True}, None)
    received = endpoint.received[0]
    assert received.line == "POST /run?token=hidden HTTP/1.1"
    assert Webhook(job["signing_secret"]).verify(received.body, received.headers) == {"b": [1, 2.5], "a": "ü"}
    headers = received.headers
    assert headers["webhook-id"] == f"{run['id']}.1"
    assert headers["runwright-run-id"] == headers["x-run-id"] == run["id"]
    assert headers["runwright-job-id"] == headers["x-job-id"] == job["id"]
    assert headers["runwright-attempt"] == headers["x-attempt"] == "1"
    assert headers["runwright-run-token"] == headers["x-run-token"]
    assert headers["runwright-idempotency-key"] == "t%C3%A4glich 5%25"
    version, trace_id, span_id, sampled = headers["traceparent"].split("-")
    assert (version, trace_id, len(span_id), sampled) == ("00", run["trace_id"], 16, "01")
    lease = server.house.services.tenants.run_tokens.read(headers["x-run-token"])
    assert (lease.run_id, lease.lease_epoch) == (run["id"], 1)


async def test_the_trace_is_in_the_run_and_in_microseconds_in_the_attempt(server, endpoint):
    run = await run_once(server, endpoint, answer(b"{}"))
    (attempt,) = await attempts(server, run)
    trace = attempt["trace"]
    assert (trace["status"], trace["endpoint"], trace["fallback"]) == (200, endpoint.url, False)
    assert trace["tcp_us"] > 0
    assert trace["ttfb_us"] > 0
    assert trace["tls_us"] == 0
    shown = run["execution_trace"]
    whole = sum(trace[f"{name}_us"] for name in ("dns", "tcp", "tls", "ttfb", "transfer"))
    assert shown["dispatch_ms"] == whole // 1000
    assert shown["ttfb_ms"] == trace["ttfb_us"] // 1000
    assert attempt["duration_us"] >= whole
    assert "hidden" not in json.dumps(attempt)


@pytest.mark.parametrize(
    ("data", "result"),
    [
        (answer(b'{"a": [1]}'), {"a": [1]}),
        (answer(b"[1, 2]", "201 Created"), {"value": [1, 2]}),
        (answer(b'"text"'), {"value": "text"}),
        (answer(b"OK", content_type="text/plain"), {"text": "OK"}),
        (answer(b"<html>", content_type="application/json"), {"text": "<html>"}),
        (answer(b"", "204 No Content"), None),
        (answer(b""), None),
        (answer(b'{"a": 1}', "299 Odd"), {"a": 1}),
    ],
)
async def test_any_2xx_but_202_completes_with_its_body(server, endpoint, data, result):
    run = await run_once(server, endpoint, data)
    assert (run["status"], run["result"]) == ("completed", result)


@pytest.mark.parametrize("status", ["408 x", "409 x", "425 x", "429 x", "500 x", "502 x", "503 x", "504 x", "599 x"])
async def test_what_may_pass_is_tried_again(server, endpoint, status):
    async def respond(received, writer):
        writer.write(answer(b"{}", status if len(endpoint.received) == 1 else "200 OK"))

    endpoint.respond = respond
    await create(server, endpoint, max_attempts=2)
    run = await ended(server, await trigger(server))
    assert (run["status"], run["attempt"]) == ("completed", 2)
    assert [r.headers["x-attempt"] for r in endpoint.received] == ["1", "2"]
    assert [r.headers["webhook-id"] for r in endpoint.received] == [f"{run['id']}.1", f"{run['id']}.2"]
    assert len({r.headers["runwright-idempotency-key"] for r in endpoint.received}) == 1
    first, second = await attempts(server, run)
    assert (first["error_class"], first["trace"]["status"]) == (f"Http{status[:3]}", int(status[:3]))
    assert second["trace"]["status"] == 200


@pytest.mark.parametrize("status", ["301 x", "302 x", "307 x", "400 x", "401 x", "403 x", "404 x", "410 x", "422 x"])
async def test_what_will_not_pass_ends_the_run(server, endpoint, status):
    async with e.serving(always(answer())) as elsewhere:
        run = await run_once(server, endpoint, answer(b"no", status, location=elsewhere.url), max_attempts=5)
        assert elsewhere.connections == 0
    assert (run["status"], run["reason"], run["attempt"]) == ("dead_letter", "rejected", 1)
    assert run["error_class"] == f"Http{status[:3]}"
    assert ("endpoint_url" in run["error"]) == status.startswith("3")
    (failed,) = await events(server, run, "run.failed")
    assert failed["data"]["code"] == "dispatch.status"


async def test_a_job_may_list_its_own_statuses(server, endpoint):
    run = await run_once(server, endpoint, answer(b"", "404 Not Found"), max_attempts=2, retry_on=[404])
    assert (run["attempt"], len(endpoint.received)) == (2, 2)
    await ok(server.admin.patch("/v1/jobs/hook", json={"retry_on": [503]}))
    endpoint.respond = always(answer(b"", "500 Internal Server Error"))
    other = await ended(server, await trigger(server))
    assert other["attempt"] == 1


@pytest.mark.parametrize(("asked", "delay_ms"), [("7", 7_000), ("9999", 60_000), ("soon", 0)])
async def test_retry_after_is_heeded_up_to_the_longest_delay(server, endpoint, asked, delay_ms):
    endpoint.respond = always(answer(b"", "503 Service Unavailable", retry_after=asked))
    await create(server, endpoint, max_attempts=2, retry_max_delay_secs=60)
    run = await trigger(server)
    retrying = await first(server, run, "run.retrying")
    assert retrying["data"]["delay_ms"] == delay_ms
    await server.admin.delete(f"/v1/runs/{run['id']}")


async def first(server: Served, run: dict[str, Any], type: str) -> dict[str, Any]:
    """Return the first event of a type, as soon as it is there."""
    changed = asyncio.Event()
    server.house.services.engine.commit.listeners.append(lambda done: changed.set())
    async with asyncio.timeout(20):
        while True:
            changed.clear()
            if found := await events(server, run, type):
                return found[0]
            await changed.wait()


# --- the fallback -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["500 x", "503 x", "599 x"])
async def test_the_fallback_answers_in_the_same_attempt_when_the_endpoint_answers_5xx(server, endpoint, status):
    async with e.serving(always(answer(b'{"from": "fallback"}'))) as fallback:
        run = await run_once(server, endpoint, answer(b"", status), fallback_endpoint_url=fallback.url + "/b")
    assert (run["status"], run["result"], run["attempt"]) == ("completed", {"from": "fallback"}, 1)
    (attempt,) = await attempts(server, run)
    assert (attempt["trace"]["endpoint"], attempt["trace"]["fallback"]) == (fallback.url, True)
    (log,) = await events(server, run, "log")
    assert log["message"].startswith(f"the endpoint answered {status[:3]}")
    assert fallback.received[0].headers["webhook-id"] == endpoint.received[0].headers["webhook-id"]


async def test_the_fallback_answers_when_nobody_can_be_reached(server, endpoint):
    with kept() as nobody:
        await create(server, None, endpoint_url=f"http://127.0.0.1:{nobody}/", fallback_endpoint_url=endpoint.url)
        run = await ended(server, await trigger(server))
    assert (run["status"], run["attempt"], len(endpoint.received)) == ("completed", 1, 1)
    (log,) = await events(server, run, "log")
    assert "Connection refused" in log["message"]


@pytest.mark.parametrize("status", ["404 x", "429 x", "302 x", "200 x"])
async def test_the_fallback_is_not_asked_after_another_answer(server, endpoint, status):
    async with e.serving(always(answer())) as fallback:
        await run_once(server, endpoint, answer(b"", status), fallback_endpoint_url=fallback.url)
    assert fallback.connections == 0


async def test_a_request_that_may_have_been_heard_is_not_repeated_at_the_fallback(server, endpoint):
    async def cut(received, writer):
        writer.transport.abort()

    async with e.serving(always(answer())) as fallback:
        endpoint.respond = cut
        await create(server, endpoint, max_attempts=1, fallback_endpoint_url=fallback.url)
        run = await ended(server, await trigger(server))
    assert run["error_class"] == "AnswerBroken"
    assert fallback.connections == 0


async def test_when_both_fail_the_fallback_tells_why(server, endpoint):
    async with e.serving(always(answer(b"", "404 Not Found"))) as fallback:
        run = await run_once(server, endpoint, answer(b"", "500 x"), fallback_endpoint_url=fallback.url)
    assert run["error_class"] == "Http404"


# --- bad answers ------------------------------------------------------------------------------------------------------


async def test_an_answer_that_is_too_large_ends_the_run(server, endpoint):
    run = await run_once(server, endpoint, answer(b"", content_length=str(50 << 20)), max_attempts=3)
    assert (run["status"], run["error_class"], run["attempt"]) == ("dead_letter", "AnswerTooLarge", 1)


async def test_an_answer_of_a_wrong_length_is_tried_again(server, endpoint):
    async def short(received, writer):
        first = len(endpoint.received) == 1
        writer.write(answer(b'{"a":', content_length="100") if first else answer(b'{"a": 1}'))
        await writer.drain()
        if first:
            writer.close()

    endpoint.respond = short
    await create(server, endpoint, max_attempts=2)
    run = await ended(server, await trigger(server))
    assert (run["status"], run["result"]) == ("completed", {"a": 1})
    assert (await attempts(server, run))[0]["error_class"] == "AnswerBroken"


async def test_json_without_a_bottom_is_a_clear_failure(server, endpoint):
    run = await run_once(server, endpoint, answer(b"[" * 100_000))
    (failed,) = await events(server, run, "run.failed")
    assert failed["data"]["code"] == "value.too_deep"


async def test_an_error_shows_a_little_of_the_answer_and_never_the_run_token(server, endpoint):
    async def echo(received, writer):
        shown = f"failed for {received.headers['x-run-token']} password=hunter2 " + "x" * 5000
        writer.write(answer(shown.encode(), "500 Internal Server Error"))

    endpoint.respond = echo
    await create(server, endpoint, max_attempts=1)
    run = await ended(server, await trigger(server))
    token = endpoint.received[0].headers["x-run-token"]
    assert run["error"].startswith("the endpoint answered 500 Internal Server Error: failed for [redacted]")
    assert len(run["error"]) < 1200
    everything = json.dumps([run, await events(server, run, "run.failed"), await attempts(server, run)])
    assert token not in everything
    assert "hunter2" not in everything


async def test_an_endpoint_that_is_slower_than_the_time_out_is_given_up(server, endpoint):
    async def silent(received, writer):
        await asyncio.Event().wait()

    endpoint.respond = silent
    await create(server, endpoint, max_attempts=1, timeout_secs=1)
    run = await ended(server, await trigger(server))
    assert (run["status"], run["error_class"]) == ("timed_out", "Timeout")


# --- the guard, versions, secrets -------------------------------------------------------------------------------------


async def test_an_endpoint_that_was_registered_is_refused_when_it_is_dialled(tmp_path, endpoint):
    async with serving(tmp_path, allow_private_endpoints=True) as open_minded:
        await create(open_minded, endpoint, max_attempts=5)
        token = open_minded.admin_token
    async with serving(tmp_path) as strict:
        strict.admin = strict.client(token)
        run = await ended(strict, await trigger(strict))
    assert (run["status"], run["error_class"], run["attempt"]) == ("dead_letter", "EndpointRefused", 1)
    assert "RUNWRIGHT_ALLOW_PRIVATE_ENDPOINTS" in run["error"]
    assert endpoint.connections == 0


async def test_a_run_is_posted_where_its_version_says(server, endpoint):
    release, came = asyncio.Event(), asyncio.Event()

    async def slow(received, writer):
        came.set()
        await release.wait()
        writer.write(answer(b'{"at": "old"}'))

    endpoint.respond = slow
    await create(server, endpoint, max_concurrency=1)
    runs = [await trigger(server), await trigger(server)]
    await came.wait()
    async with e.serving(always(answer(b'{"at": "new"}'))) as new:
        await ok(server.admin.patch("/v1/jobs/hook", json={"endpoint_url": new.url}))
        release.set()
        assert [(await ended(server, run))["result"] for run in runs] == [{"at": "old"}] * 2
        assert (await ended(server, await trigger(server)))["result"] == {"at": "new"}


async def test_during_a_rotation_both_secrets_sign_and_afterwards_one(server, endpoint):
    old = (await create(server, endpoint))["signing_secret"]
    new = (await ok(server.admin.post("/v1/jobs/hook/rotate-secret", json={"grace_secs": 600})))["signing_secret"]
    await ended(server, await trigger(server))
    for secret in (old, new):
        Webhook(secret).verify(endpoint.received[0].body, endpoint.received[0].headers)
    newest = (await ok(server.admin.post("/v1/jobs/hook/rotate-secret", json={"grace_secs": 0})))["signing_secret"]
    await ended(server, await trigger(server))
    body, headers = endpoint.received[1].body, endpoint.received[1].headers
    Webhook(newest).verify(body, headers)
    assert headers["webhook-signature"].count("v1,") == 1
    for secret in (old, new):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, headers)


# --- handing over, stopping -------------------------------------------------------------------------------------------


async def test_202_leaves_the_run_with_the_endpoint(server, endpoint):
    endpoint.respond = always(answer(b'{"later": true}', "202 Accepted"))
    await create(server, endpoint, heartbeat_timeout_secs=30)
    run = await trigger(server)
    accepted = await first(server, run, "run.accepted")
    assert accepted["data"]["heartbeat_ms"] == 30_000
    standing = await read(server, run)
    assert (standing["status"], standing["result"]) == ("executing", None)
    (attempt,) = await attempts(server, run)
    assert (attempt["ended_at"], attempt["trace"]["status"]) == (None, 202)


async def test_an_endpoint_that_accepted_and_fell_silent_has_lost_the_run(tmp_path, endpoint):
    async with serving(tmp_path, allow_private_endpoints=True, reaper_s=0.05) as server:
        endpoint.respond = always(answer(b"", "202 Accepted"))
        await create(server, endpoint, heartbeat_timeout_secs=1, max_attempts=1)
        run = await ended(server, await trigger(server))
    assert run["status"] == "crashed"


async def test_an_endpoint_that_fails_after_a_stop_request_has_stopped(tmp_path, endpoint):
    release, came = asyncio.Event(), asyncio.Event()

    async def slow(received, writer):
        came.set()
        await release.wait()
        writer.write(answer(b"", "503 Stopped"))

    endpoint.respond = slow
    async with serving(tmp_path, allow_private_endpoints=True, stop_grace_s=60) as server:
        await create(server, endpoint)
        run = await trigger(server)
        await came.wait()
        cancelling = asyncio.create_task(server.admin.delete(f"/v1/runs/{run['id']}"))
        await first(server, run, "run.cancel_requested")
        release.set()
        await cancelling
        stopped = await ended(server, run)
        (cancelled,) = await events(server, run, "run.cancelled")
    assert stopped["status"] == "canceled"
    assert cancelled["data"]["confirmed"] is True


async def test_an_endpoint_that_does_not_hear_of_the_stop_is_fenced_off(server, endpoint):
    came = asyncio.Event()

    async def silent(received, writer):
        came.set()
        await asyncio.Event().wait()

    endpoint.respond = silent
    await create(server, endpoint)
    run = await trigger(server)
    await came.wait()
    await server.admin.delete(f"/v1/runs/{run['id']}")
    assert (await ended(server, run))["status"] == "canceled"


async def test_a_server_that_stops_hands_its_dispatches_back(tmp_path, endpoint):
    came = asyncio.Event()

    async def silent_once(received, writer):
        if len(endpoint.received) == 1:
            came.set()
            await asyncio.Event().wait()
        writer.write(answer(b'{"second": true}'))

    endpoint.respond = silent_once
    async with serving(tmp_path, allow_private_endpoints=True, drain_s=0) as server:
        await create(server, endpoint, max_attempts=1)
        run = await trigger(server)
        await came.wait()
        token = server.admin_token
    async with serving(tmp_path, allow_private_endpoints=True) as server:
        server.admin = server.client(token)
        done = await ended(server, run)
    assert (done["status"], done["attempt"], done["result"]) == ("completed", 1, {"second": True})
    first_sent, second_sent = (received.headers for received in endpoint.received)
    assert first_sent["webhook-id"] == second_sent["webhook-id"]
    assert first_sent["x-run-token"] != second_sent["x-run-token"]


async def test_200_runs_share_the_connections(server, endpoint):
    await create(server, endpoint)
    items = {"items": [{"payload": {"n": n}} for n in range(200)]}
    made = await ok(server.admin.post("/v1/jobs/hook/trigger/bulk", json=items), 201)
    for item in made["results"]:
        assert (await ended(server, item))["status"] == "completed"
    assert sorted(json.loads(r.body)["n"] for r in endpoint.received) == list(range(200))


# --- the settings -----------------------------------------------------------------------------------------------------


async def dripping(received, writer):
    writer.write(answer(b"{", content_length="2"))
    await writer.drain()
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("settings", "respond", "error_class"),
    [
        ({"dispatch_body_max_bytes": 10}, always(answer(b'{"a": 12345}')), "AnswerTooLarge"),
        ({"dispatch_body_max_bytes": 12}, always(answer(b'{"a": 12345}')), None),
        ({"dispatch_body_s": 0.05}, dripping, "AnswerTooSlow"),
    ],
)
async def test_the_limits_of_an_answer_are_settings(tmp_path, endpoint, settings, respond, error_class):
    async with serving(tmp_path, allow_private_endpoints=True, **settings) as server:
        endpoint.respond = respond
        await create(server, endpoint, max_attempts=1)
        run = await ended(server, await trigger(server))
    assert run["error_class"] == error_class


@pytest.mark.parametrize(("keepalive_s", "connections"), [(0, 3), (600, 1)])
async def test_how_long_an_idle_connection_is_kept_is_a_setting(tmp_path, endpoint, keepalive_s, connections):
    async with serving(tmp_path, allow_private_endpoints=True, dispatch_keepalive_s=keepalive_s) as server:
        await create(server, endpoint)
        for _ in range(3):
            await ended(server, await trigger(server))
    assert endpoint.connections == connections


@pytest.mark.parametrize(
    ("settings", "error_class"),
    [({"dispatch_connections": 1, "dispatch_connect_s": 1.0}, "NoConnection"), ({"dispatch_slots": 1}, None)],
)
async def test_how_much_is_dispatched_at_a_time_is_a_setting(tmp_path, endpoint, settings, error_class):
    release, came = asyncio.Event(), asyncio.Event()

    async def slow(received, writer):
        came.set()
        await release.wait()
        writer.write(answer(b"{}"))

    endpoint.respond = slow
    async with serving(tmp_path, allow_private_endpoints=True, **settings) as server:
        await create(server, endpoint, max_attempts=1)
        one = await trigger(server)
        await came.wait()
        other = await trigger(server)
        if error_class is not None:
            assert (await ended(server, other))["error_class"] == error_class
        else:
            assert (await read(server, other))["status"] == "queued"
        release.set()
        assert (await ended(server, one))["status"] == "completed"
        assert ((await ended(server, other))["status"] == "completed") == (error_class is None)
