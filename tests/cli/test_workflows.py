"""What the command line says and shows of workflows."""

import msgspec

from tests.cli.conftest import Call, Script
from tests.client.local_server import json_answer

STEPS = [{"key": "a", "job": "greet"}]
ONE = {"id": "wf_1", "slug": "book", "version": 1, "enabled": True, "steps": STEPS, "updated_at": None}
RUN = {"id": "run_1", "status": "waiting", "kind": "workflow", "state": "waiting"}
PATH = "/v1/workflows/book"


def test_a_workflow_is_made_and_changed(call_server: Call, script: Script):
    script.on("POST", "/v1/workflows", json_answer(ONE, 201))
    script.on("PATCH", PATH, json_answer(ONE))
    given = msgspec.json.encode(STEPS).decode()
    made = call_server(
        "workflows", "create", "book", "--steps", given, "--timeout-secs", "60", "--project", "p", "--json"
    )
    assert (made.code, made.json()) == (0, ONE)
    body = {"slug": "book", "steps": STEPS, "timeout_secs": 60, "project_id": "p"}
    assert msgspec.json.decode(script.requests[-1].body) == body
    assert (
        call_server("workflows", "update", "book", "--disabled", "--clear", "timeout-secs", "--slug", "tome").code == 0
    )
    changes = {"enabled": False, "timeout_secs": None, "slug": "tome"}
    assert msgspec.json.decode(script.requests[-1].body) == changes
    assert call_server("workflows", "update", "book").code == 2
    wrong = call_server("workflows", "create", "book", "--steps", '{"a": 1}')
    assert (wrong.code, "--steps is not a JSON list of objects" in wrong.err) == (2, True)


def test_workflows_are_listed_shown_and_deleted(call_server: Call, script: Script):
    script.on("GET", "/v1/workflows", json_answer([ONE]))
    script.on("GET", PATH, json_answer(ONE))
    script.on("GET", f"{PATH}/versions", json_answer([{**ONE, "id": "wfv_1", "created_by": "user:ann"}]))
    script.on("DELETE", PATH, json_answer(None, 204))
    assert "wf_1" in call_server("workflows", "list").out
    assert call_server("workflows", "get", "book", "--json").json() == ONE
    assert "user:ann" in call_server("workflows", "versions", "book").out
    assert call_server("workflows", "delete", "book", "--yes").out == "deleted book\n"
    assert call_server("workflows", "delete", "book", "--yes", "--json").json() == {"deleted": "book"}


def test_a_workflow_is_started_and_its_steps_are_shown(call_server: Call, script: Script):
    script.on("POST", f"{PATH}/trigger", json_answer(RUN, 201))
    asked = ["--payload", '{"n": 1}', "--tag", "a=b", "--debug", "--idempotency-key", "k"]
    started = call_server("workflows", "trigger", "book", *asked)
    assert started.out == "run_1  waiting\n"
    sent = script.requests[-1]
    assert msgspec.json.decode(sent.body) == {"payload": {"n": 1}, "tags": {"a": "b"}, "debug_mode": True}
    assert sent.headers["idempotency-key"] == "k"
    assert call_server("workflows", "trigger", "book", "--json").json() == RUN
    step = {"id": "run_1.step.a", "step_key": "a", "job": "greet", "status": "completed", "run_id": "run_2"}
    script.on("GET", "/v1/workflow-runs/run_1/steps", json_answer([step]))
    assert "run_2" in call_server("workflows", "steps", "run_1").out
    assert call_server("workflows", "steps", "run_1", "--json").json() == [step]


def test_a_replay_may_take_over_what_completed(call_server: Call, script: Script):
    script.on("POST", "/v1/runs/run_1/replay", json_answer(RUN, 201))
    assert call_server("runs", "replay", "run_1", "--from-failed").code == 0
    assert msgspec.json.decode(script.requests[-1].body) == {"from_failed": True}
