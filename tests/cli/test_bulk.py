"""Commands on many runs: what they send, ask, and tell."""

import io

import pytest

from tests.cli.conftest import Call, Respond, Script
from tests.client.local_server import Answer, json_answer

RUN = {"id": "run_1", "status": "queued", "state": "queued", "job_id": "job_1", "attempt": 1}


def answer(*ids: str, error: str | None = None, **more: object) -> dict[str, object]:
    results = [{"id": each, "status": "canceled", "error": error, "code": None} for each in ids]
    return {"results": results, "total": len(ids), "canceled": len(ids), "failed": 0, **more}


def one_by_one(*answers: Answer) -> Respond:
    """Give one answer after the other."""
    left = iter(answers)
    return lambda request: next(left)


def test_many_runs_are_cancelled_500_at_a_time(call_server: Call, script: Script):
    ids = [f"run_{n}" for n in range(700)]
    script.on(
        "POST",
        "/v1/runs/bulk-cancel",
        one_by_one(json_answer(answer("run_0")), json_answer(answer("run_1", error="no"))),
    )
    told = call_server("runs", "cancel-many", *ids, "run_0", "--reason", "enough", "--yes")
    assert [len(request.json()["run_ids"]) for request in script.requests] == [500, 200]
    assert script.requests[0].json()["reason"] == "enough"
    assert (told.code, told.out.split(",")[0]) == (1, "1 cancelled"), told
    assert "run_1: no" in told.err


def test_nobody_is_asked_without_a_terminal(call_server: Call, script: Script):
    told = call_server("runs", "cancel-many", "run_1")
    assert (told.code, script.requests) == (2, [])
    assert "--yes" in told.err


def test_everything_that_filters_hold_is_previewed_and_cancelled_to_the_end(call_server: Call, script: Script):
    script.on("GET", "/v1/jobs/report", json_answer({"id": "job_1", "slug": "report"}))
    script.on(
        "POST",
        "/v1/runs/bulk-cancel-all",
        one_by_one(
            json_answer(answer(more=False, dry_run=True) | {"total": 3}),
            json_answer(answer("run_1", "run_2", more=True)),
            json_answer(answer("run_3", more=False)),
        ),
    )
    words = ("--project", "blue", "--job", "report", "--status", "queued", "--tag", "env=prod")
    told = call_server("runs", "cancel-all", *words, "--yes", "--json")
    assert [result["id"] for result in told.json()["results"]] == ["run_1", "run_2", "run_3"]
    _, preview, first, _ = script.requests
    assert preview.json() == {"job_id": "job_1", "status": ["queued"], "tags": {"env": "prod"}, "dry_run": True}
    assert first.json() == {"job_id": "job_1", "status": ["queued"], "tags": {"env": "prod"}, "limit": 500}
    assert preview.query == [("project_id", "blue")]


def test_a_dry_run_cancels_nothing(call_server: Call, script: Script):
    script.on("POST", "/v1/runs/bulk-cancel-all", json_answer({**answer(), "total": 10_000, "more": True}))
    told = call_server("runs", "cancel-all", "--project", "blue", "--dry-run")
    assert told.out == "10000+ runs would be cancelled\n"
    assert len(script.requests) == 1
    assert call_server("runs", "cancel-all").code == 2, "a project must be named"


def test_many_runs_are_replayed_and_the_rest_is_told(call_server: Call, script: Script):
    script.on("POST", "/v1/runs/bulk-replay", json_answer([RUN]))
    told = call_server("runs", "replay-many", "run_a", "run_b", "--force", "--version", "latest", "--yes")
    assert (told.code, told.out) == (1, "1 replayed, 1 left out\n")
    assert script.requests[0].json() == {"run_ids": ["run_a", "run_b"], "force": True, "version": "latest"}


@pytest.mark.parametrize(
    ("tokens", "method", "path", "body", "reply"),
    [
        ("runs reschedule run_1 --at 2026-01-02T03:04:05Z", "POST", "/v1/runs/run_1/reschedule",
         {"scheduled_at": "2026-01-02T03:04:05Z"}, RUN),
        ("runs debug run_1 --off", "POST", "/v1/runs/run_1/debug", {"debug_mode": False},
         {"run_id": "run_1", "debug_mode": False}),
        ("runs free-key run_1", "DELETE", "/v1/runs/run_1/idempotency-key", None,
         {"run_id": "run_1", "status": "reset"}),
        ("runs replay run_1 --from-checkpoint 2 --debug", "POST", "/v1/runs/run_1/replay",
         {"from_checkpoint": 2, "debug_mode": True}, RUN),
        ("dlq replay run_1 --yes", "POST", "/v1/runs/run_1/dlq-replay", {}, RUN),
        ("dlq discard run_1 --yes", "POST", "/v1/runs/run_1/discard", None, RUN),
        ("batches get batch_1", "GET", "/v1/batch-operations/batch_1", None, {"id": "batch_1", "results": []}),
    ],
)  # fmt: skip
def test_each_command_asks_for_what_it_says(
    call_server: Call, script: Script, tokens: str, method: str, path: str, body: object, reply: object
):
    script.on(method, path, json_answer(reply))
    assert call_server(*tokens.split(), "--json").code == 0
    (request,) = script.requests
    assert (request.json() if request.body else None) == body


def test_the_dead_letters_of_a_project_are_replayed_oldest_first(call_server: Call, script: Script):
    script.on("GET", "/v1/runs/dlq", json_answer([{**RUN, "id": "run_1"}, {**RUN, "id": "run_2"}]))
    errors = [{"id": "run_2", "error": "has left", "code": "runs.not_dead_lettered"}]
    script.on("POST", "/v1/runs/bulk-dlq-replay", json_answer({"replayed": [RUN], "count": 1, "errors": errors}))
    told = call_server("dlq", "replay", "--project", "blue", "--yes")
    assert (told.code, told.out) == (1, "1 replayed, 1 left out\n")
    assert ("order", "asc") in script.requests[0].query
    assert script.requests[1].json() == {"run_ids": ["run_1", "run_2"]}
    assert call_server("dlq", "replay").code == 2


def test_lists_are_columns(call_server: Call, script: Script):
    script.on("GET", "/v1/runs/dlq", json_answer([RUN]))
    script.on("GET", "/v1/batch-operations", json_answer([{"id": "batch_1", "verb": "cancel", "item_count": 3}]))
    assert "run_1" in call_server("dlq", "list", "--project", "blue").out
    assert "batch_1" in call_server("batches", "list").out


def test_ids_come_from_standard_input(call_server: Call, script: Script, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("run_1\nrun_2\nrun_1\n"))
    script.on("POST", "/v1/runs/bulk-replay", json_answer([RUN, RUN]))
    assert call_server("runs", "replay-many", "-", "--force", "--yes").code == 0
    assert script.requests[0].json() == {"run_ids": ["run_1", "run_2"], "force": True}
