"""Commands about workers elsewhere, queues, tickets and members: what they send and print."""

import io
import sys

import pytest

from tests.cli.conftest import Call, Script
from tests.cli.test_commands import JOB, Typist
from tests.client.local_server import json_answer

WORKER = {"id": "wrk_1", "name": "gpu-1", "version": "a1b2", "status": "active", "busy": 3, "slots": 10, "queues": []}
QUEUE = {"name": "reports", "ready": 1000, "capped": True, "paused": True, "paused_by": "user:user_1"}
TICKET = {"ticket": "rwk_1", "path": "/v1/feed", "expires_at": "2030-01-01T00:00:00Z"}
MEMBER = {"id": "mem_1", "user_id": "user_1", "role": "viewer", "org_id": "org_1", "project_id": "proj_1"}


@pytest.mark.parametrize(
    ("tokens", "method", "path", "body", "answer"),
    [
        ("workers get wrk_1", "GET", "/v1/workers/wrk_1", None, WORKER),
        ("workers drain wrk_1 --yes", "POST", "/v1/workers/wrk_1/drain", None, WORKER),
        ("queues pause reports", "POST", "/v1/queues/reports/pause", None, QUEUE),
        ("queues resume reports", "POST", "/v1/queues/reports/resume", None, QUEUE),
        ("tickets create /v1/feed", "POST", "/v1/tickets", {"path": "/v1/feed"}, TICKET),
        ("jobs put greet --queue slow --tag a=b", "PUT", "/v1/jobs/greet", {"queue": "slow", "tags": {"a": "b"}}, JOB),
    ],
)
def test_each_command_is_its_request(call_server: Call, script: Script, tokens, method, path, body, answer):
    script.on(method, path, json_answer(answer))
    plain = call_server(*tokens.split())
    assert (plain.code, plain.err) == (0, "")
    assert str(next(iter(answer.values()))) in plain.out
    request = script.requests[0]
    assert (request.method, request.path) == (method, path)
    assert (request.json() if request.body else None) == body
    assert call_server(*tokens.split(), "--json").json() == answer


@pytest.mark.parametrize(
    ("tokens", "path", "row", "cells"),
    [
        ("workers list", "/v1/workers", WORKER, ["wrk_1", "gpu-1", "a1b2", "active", "3", "10", "(all)", "-"]),
        ("queues list", "/v1/queues", QUEUE, ["reports", "1000+", "yes", "-", "user:user_1"]),
    ],
)
def test_lists_are_rows_for_people_and_arrays_for_programs(call_server: Call, script: Script, tokens, path, row, cells):
    script.on("GET", path, json_answer([row]))
    assert [line.split() for line in call_server(*tokens.split()).out.splitlines()[1:]] == [cells]
    assert call_server(*tokens.split(), "--json").json() == [row]


def test_a_drain_shows_the_worker_and_is_asked_for(call_server: Call, script: Script, monkeypatch: pytest.MonkeyPatch):
    script.on("GET", "/v1/workers/wrk_1", json_answer(WORKER))
    script.on("POST", "/v1/workers/wrk_1/drain", json_answer({**WORKER, "status": "draining"}))
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert call_server("workers", "drain", "wrk_1").code == 2, "there is nobody to ask"
    monkeypatch.setattr(sys, "stdin", Typist("n\n"))
    refused = call_server("workers", "drain", "wrk_1")
    assert (refused.code, "gpu-1 (wrk_1), which executes 3 runs" in refused.err) == (1, True)
    assert {request.method for request in script.requests} == {"GET"}
    monkeypatch.setattr(sys, "stdin", Typist("y\n"))
    assert "draining" in call_server("workers", "drain", "wrk_1").out


def test_a_login_is_shown_with_its_role_and_memberships(call_server: Call, script: Script):
    me = {"actor": "user:1", "kind": "user", "scopes": [], "role": "viewer", "memberships": [MEMBER]}
    script.on("GET", "/v1/me", json_answer({**me, "expires_at": "2030-01-01T00:00:00Z"}))
    told = [" ".join(line.split()) for line in call_server("me").out.splitlines()]
    assert "role viewer" in told
    assert "memberships viewer of proj_1" in told
    assert told[-1].startswith("expires 20")
