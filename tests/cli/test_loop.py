"""`runwright loop`: what a loop does, how far it came, and the patches that it kept."""

from typing import Any

import msgspec
import pytest

from tests.cli.conftest import Call, Script
from tests.cli.test_commands import RUN, event, sse
from tests.client.local_server import Answer, json_answer

LOOP = "/api/v1/loops/omar/run_1"
PATCH = {"sha256": "0" * 64, "files": 1, "added": 2, "removed": 1}


def iteration(n: int, outcome: str | None, why: str) -> dict[str, Any]:
    return {"n": n, "patcher": "codemods", "outcome": outcome, "why": why, "patch": PATCH}


def loop(**more: Any) -> Answer:
    told = {
        "loop_id": "run_1",
        "state": "awaiting_approval",
        "run_state": "waiting",
        "iteration": 2,
        "max_iterations": 8,
        "findings": {"start": {"P0": 1, "P1": 0}, "best": {"P0": 0, "P1": 0}},
        "coverage": {"ruff": "completed", "semgrep": "not_run"},
        "gates": [{"id": "tests", "status": "not_run"}],
        "iterations": [iteration(1, "kept", "1 finding less\x1b[2J"), iteration(2, None, "")],
        "pending_approvals": ["apr_1"],
    }
    return Answer(200, msgspec.json.encode({**told, **more}), {"content-type": "application/json"})


def test_status_says_what_was_tried_what_is_open_and_who_has_not_looked(call_server: Call, script: Script) -> None:
    script.on("GET", LOOP, loop())
    ended = call_server("loop", "status", "run_1")
    assert ended.code == 0
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["2", "codemods", "goes", "on", "1", "+2", "-1"] in lines
    assert ["open", "at", "first", "1", "P0,", "0", "P1"] in lines
    assert ["not", "looked", "at", "by", "semgrep", "not", "run"] in lines
    assert ["asked", "of", "people", "apr_1"] in lines
    assert "\x1b" not in ended.out
    assert msgspec.json.decode(call_server("loop", "status", "run_1", "--json").out)["coverage"]["semgrep"] == "not_run"


def test_diff_shows_the_patches_that_were_kept_and_nothing_that_moves_the_cursor(
    call_server: Call, script: Script
) -> None:
    script.on("GET", LOOP, loop())
    hostile = msgspec.json.encode({"diff": "+kept\x1b[31m\n"})
    script.on("GET", "/api/v1/runs/run_1/artifacts/run_1.patch.1", Answer(200, hostile))
    script.on("GET", "/api/v1/runs/run_1/artifacts/run_1.patch.2", Answer(200, b'{"diff": "+tried\\n"}'))
    assert call_server("loop", "diff", "run_1").out == "+kept [31m\n"
    assert call_server("loop", "diff", "run_1", "--iteration", "2").out == "+tried\n"
    assert msgspec.json.decode(call_server("loop", "diff", "run_1", "--json").out) == [
        {"iteration": 1, "diff": "+kept\x1b[31m\n"}
    ]
    missing = call_server("loop", "diff", "run_1", "--iteration", "3")
    assert (missing.code, missing.out) == (1, "")
    assert "There is no such patch" in missing.err


def test_a_loop_that_is_watched_as_a_run_is_told_as_a_loop(call_server: Call, script: Script) -> None:
    script.on("GET", LOOP, loop(state="succeeded", run_state="completed", exit_reason="clean", pending_approvals=[]))
    verdict = {"name": "tests", "status": "green", "detail": "it ended with the exit code 0"}
    told = [event(1, "run.created"), event(2, "gate.result", **verdict), event(3, "tool.call"), event(4, "run.failed")]
    log = [{**each, "message": ""} for each in told]
    script.on("GET", "/v1/runs/run_1/stream", sse(log))
    script.on("GET", "/v1/runs/run_1", json_answer({**RUN, "kind": "loop", "state": "failed", "status": "failed"}))
    seen = call_server("runs", "watch", "run_1")
    assert seen.code == 1, "as the run ended"
    first, *rest = (line.split() for line in seen.out.splitlines())
    assert " ".join(first[1:]) == "the gate tests is green: it ended with the exit code 0"
    assert ["ended", "clean"] in rest
    assert "tool.call" not in seen.out
    assert call_server("runs", "watch", "run_1", "--json").lines() == log


@pytest.mark.parametrize(
    ("stands", "code"), [("succeeded", 0), ("awaiting_approval", 0), ("denied", 13), ("failed", 10)]
)
def test_watch_says_by_its_exit_code_whether_a_clean_loop_was_delivered(
    call_server: Call, script: Script, stands: str, code: int
) -> None:
    error = {"code": "FORGE_ERROR", "message": "no forge is named", "retryable": False, "retry_after_s": None}
    delivery = {"state": stands, "error": error if stands == "failed" else None, "delivery_run_id": "run_2"}
    clean = {"state": "succeeded", "run_state": "completed", "exit_reason": "clean", "delivery": delivery}
    script.on("GET", LOOP, loop(**clean))
    script.on("GET", "/v1/runs/run_1/stream", sse([event(1, "run.completed")]))
    ended = call_server("loop", "watch", "run_1")
    assert ended.code == code
    assert ("no forge is named" in ended.err, "runwright checkpoint run_1" in ended.err) == ((code == 10,) * 2)
