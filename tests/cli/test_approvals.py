"""What the command line shows of approvals, and what it decides about: what was seen, by its digest."""

from typing import Any

import msgspec

from tests.cli.conftest import Call, Script
from tests.client.local_server import json_answer

DIGEST, SEEN = "d" * 64, "e" * 64
PATH = "/api/v1/runs/run_1/approvals"


def asked(checkpoint_id: str = "apr_2", status: str = "pending") -> dict[str, Any]:
    """Return an approval as the API shows it."""
    return {
        "checkpoint_id": checkpoint_id,
        "run_id": "run_1",
        "gate_id": "push",
        "status": status,
        "risk": "high",
        "summary": "Push 3 files?",
        "subject": {"kind": "diff", "sha256": DIGEST, "diff": "-one\n+two\x1b[2J\n"},
        "subject_sha256": DIGEST,
        "required": {"quorum": 1, "roles": ["approver", "admin"], "exclude_actors": []},
        "decisions": [],
        "evidence_refs": [],
        "requested_by": "user:user_1",
        "requested_at": "2026-11-22T10:00:00Z",
        "expires_at": "2026-11-23T10:00:00Z",
        "decided_at": None,
    }


def test_the_inbox_lists_what_waits(call_server: Call, script: Script):
    script.on("GET", "/api/v1/approvals", json_answer([asked()]))
    assert "Push 3 files?" in call_server("approvals", "list", "--project", "blue").out
    assert ("status", "pending") in script.requests[-1].query
    call_server("approvals", "list", "--status", "all")
    assert "status" not in dict(script.requests[-1].query)


def test_show_prints_the_diff_and_its_digest_and_nothing_that_moves_the_terminal(call_server: Call, script: Script):
    script.on("GET", PATH, json_answer([asked("apr_1", "superseded"), asked()]))
    shown = call_server("approvals", "show", "run_1").out
    assert DIGEST in shown
    assert "-one\n+two" in shown
    assert "\x1b" not in shown
    assert "apr_2" in shown
    assert call_server("approvals", "show", "run_1", "--checkpoint", "apr_1", "--json").json()["status"] == "superseded"


def test_approve_sends_the_digest_that_was_seen(call_server: Call, script: Script):
    script.on("GET", PATH, json_answer([asked()]))
    script.on("POST", PATH, json_answer(asked(status="approved")))
    done = call_server("approvals", "approve", "run_1", "--digest", SEEN, "--comment", "fine")
    assert (done.code, done.out) == (0, "apr_2 is approved\n")
    body = {"checkpoint_id": "apr_2", "decision": "approve", "subject_sha256": SEEN, "comment": "fine"}
    assert msgspec.json.decode(script.requests[-1].body) == body


def test_without_a_digest_somebody_must_have_looked(call_server: Call, script: Script):
    script.on("GET", PATH, json_answer([asked()]))
    script.on("POST", PATH, json_answer(asked(status="denied")))
    refused = call_server("approvals", "approve", "run_1")
    assert refused.code == 2
    assert DIGEST in refused.out, "what would be decided is shown first"
    assert [request.method for request in script.requests] == ["GET"]
    assert call_server("approvals", "deny", "run_1", "--yes").out == "apr_2 is denied\n"
    assert msgspec.json.decode(script.requests[-1].body)["subject_sha256"] == DIGEST


def test_a_run_that_asked_nothing_says_so(call_server: Call, script: Script):
    script.on("GET", PATH, json_answer([]))
    assert call_server("approvals", "show", "run_1").code == 1
    assert "asked nothing" in call_server("approvals", "approve", "run_1", "--yes").err


def test_the_id_of_an_approval_is_not_taken_for_that_of_a_run(call_server: Call, script: Script):
    refused = call_server("approvals", "show", "apr_2")
    assert (refused.code, script.requests) == (1, [])
    assert "approvals list" in refused.err
